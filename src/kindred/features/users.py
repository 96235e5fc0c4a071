"""A user's record: what the state holds of a person, its codec, and how two of them become one."""

import msgspec
import numpy as np
import xxhash

from kindred.core.candidates import Ordinals
from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.attribution import Ledger
from kindred.features.counters import add_up, merge
from kindred.features.groups import FoldConfig
from kindred.features.history import HistoryRows, merge_rows
from kindred.features.recent import Recent
from kindred.features.sessions import join_sessions, kept_sessions
from kindred.features.user_counters import USER_COUNTERS, session_amounts

MOST_MERGES = 1_000


class UserRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the state holds of a user; columns are little-endian bytes.

    `items` int32, `timestamps` int64 ms, `codes` uint8 into `types`, `values` float32: the newest rows, newest first.
    `seen` int32, sorted. `interactions`: how many were ever folded. `recent_events` uint64 hashes of event ids,
    `recent_offsets` int64, `recent_arrivals` int64 ms: what recognises a duplicate, oldest first. `counters`: entries
    of `USER_COUNTERS`. `sessions`: the newest (start, end) int64 ms. `exposures`, `outcomes`: what attribution looks
    at, `places` the names of its placements. `alias`: who this anonymous user turned out to be, at `sealed`; `merged`:
    the merges that were folded in, `aliases` whose they were. `forgotten`: arrival (ms) of the last erasure, 0 = never;
    what arrived before it and comes later is over for ever.
    """

    types: list[str] = []
    items: bytes = b""
    timestamps: bytes = b""
    codes: bytes = b""
    values: bytes = b""
    seen: bytes = b""
    interactions: int = 0
    recent_events: bytes = b""
    recent_offsets: bytes = b""
    recent_arrivals: bytes = b""
    profile: Profile | None = None
    counters: bytes = b""
    sessions: bytes = b""
    exposures: bytes = b""
    outcomes: bytes = b""
    places: list[str] = []
    alias: str | None = None
    sealed: Position | None = None
    merged: list[str] = []
    aliases: list[str] = []
    forgotten: int = 0

    def rows(self) -> HistoryRows:
        """Return the newest interactions, newest first; the arrays are views of the record."""
        return HistoryRows(
            np.frombuffer(self.items, "<i4"),
            np.frombuffer(self.timestamps, "<i8"),
            np.frombuffer(self.codes, np.uint8),
            np.frombuffer(self.values, "<f4"),
            tuple(self.types),
        )

    def seen_items(self) -> Ordinals:
        """Return the ordinals (s,) int32, ascending, of items the user is known to have dealt with."""
        return np.frombuffer(self.seen, "<i4")

    def recent(self) -> Recent:
        """Return the event ids that the record remembers."""
        return Recent(self.recent_events, self.recent_offsets, self.recent_arrivals)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(UserRecord)


def encode_user(record: UserRecord | None) -> bytes:
    """Write a record; None, a forgotten user, is no bytes."""
    return b"" if record is None else _encoder.encode(record)


def decode_user(data: bytes) -> UserRecord | None:
    """Read a record; no bytes are a forgotten user. Raise InvalidInput when the bytes are no record."""
    if not data:
        return None
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a user record: {error}") from error


def preference_version(record: UserRecord | None) -> int:
    """Return a number that changes with everything that a record says of its user, but not with what was served.

    So two records with the same number lead to the same ranking, but for what ages; 0 is nothing known, also where a
    record holds nothing but what was served.
    """
    found = _NOTHING if record is None else _digest(record)
    return 0 if found == _NOTHING else found


def _digest(record: UserRecord) -> int:
    digest = xxhash.xxh3_64()
    for part in (record.items, record.timestamps, record.codes, record.values, record.seen, record.counters):
        digest.update(len(part).to_bytes(4, "little"))
        digest.update(part)
    small = (record.types, record.interactions, record.profile, record.sessions, record.alias, record.forgotten)
    digest.update(_encoder.encode(small))
    return digest.intdigest()


_NOTHING = _digest(UserRecord())


def merge_seen(seen: Ordinals, added: Ordinals, config: FoldConfig) -> Ordinals:
    """Return the sorted union of ordinals, at most `seen_items` of them, those highest in the catalogue."""
    if not len(added):
        return seen
    found = np.searchsorted(seen, added)
    inside = found < len(seen)
    if inside.all() and bool((seen[found] == added).all()):
        return seen
    return np.union1d(seen, added)[-config.seen_items :].astype(np.int32)


def merge_user(left: UserRecord | None, right: UserRecord, config: FoldConfig) -> UserRecord:
    """Join the record of a bulk fold, or of an anonymous user (`right`), into a standing one.

    Counters add up, rows and sessions are united, a profile that an import brings is the newer; alias and seal stay.
    """
    if left is None:
        return right
    rows = merge_rows(left.rows(), right.rows(), config.history_rows)
    seen = merge_seen(left.seen_items(), right.seen_items(), config)
    keep = kept_sessions(config.session_gap, config.lateness)
    sessions = join_sessions(left.sessions, right.sessions, config.session_gap * 1000, keep)
    counters = merge(left.counters, right.counters, USER_COUNTERS.keep)
    if sessions.sessions:
        counters = add_up([counters], session_amounts(0, sessions.sessions, sessions.length), USER_COUNTERS.keep)[0]
    ledger = Ledger(left.exposures, left.outcomes, left.places, config)
    if right.exposures or right.outcomes:
        ledger.absorb(Ledger(right.exposures, right.outcomes, right.places, config))
    recent = left.recent()
    if right.recent_events:
        recent = recent.joined(right.recent(), config.recent_events)
    return UserRecord(
        list(rows.names),
        rows.items.tobytes(),
        rows.timestamps.tobytes(),
        rows.codes.tobytes(),
        rows.values.tobytes(),
        seen.tobytes(),
        left.interactions + right.interactions,
        recent.events,
        recent.offsets,
        recent.arrivals,
        right.profile or left.profile,
        counters,
        sessions.intervals,
        ledger.exposures,
        ledger.outcomes,
        ledger.places,
        left.alias,
        left.sealed,
        left.merged,
        left.aliases,
        left.forgotten,
    )
