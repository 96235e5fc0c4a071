"""A user's record and its fold: pure, one event at a time in effect, the same for any cut into batches."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.groups import Act, Erasure, FoldConfig, ProfileChange
from kindred.features.history import HistoryRows, merge_rows

UserChange: TypeAlias = Act | ProfileChange | Erasure


class UserRecord(msgspec.Struct, frozen=True, array_like=True):
    """What the state holds of a user; columns are little-endian bytes.

    `items` int32, `timestamps` int64 ms, `codes` uint8 into `types`, `values` float32: the newest rows, newest first.
    `seen` int32, sorted. `interactions`: how many were ever folded. `recent_events` uint64 hashes of event ids,
    `recent_offsets` int64, `recent_arrivals` int64 ms: what recognises a duplicate, oldest first.
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

    def recent(self) -> dict[int, tuple[int, int]]:
        """Return event hash → (offset, arrival), oldest first."""
        events = np.frombuffer(self.recent_events, "<u8").tolist()
        offsets = np.frombuffer(self.recent_offsets, "<i8").tolist()
        arrivals = np.frombuffer(self.recent_arrivals, "<i8").tolist()
        return dict(zip(events, zip(offsets, arrivals, strict=True), strict=True))


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


class UserFold(NamedTuple):
    """What a fold made of a user's changes.

    `position` is that of the last change that took effect, or None when none did. `forward`: acts that items must
    count (their own positions leave out what they hold already). `stored`: acts that history must hold. `duplicates`
    and `late` are counts; `erased` is the position of an erasure, so that older history goes.
    """

    record: UserRecord | None
    position: Position | None
    forward: list[Act]
    stored: list[Act]
    duplicates: int
    late: int
    erased: Position | None


class _Folding:
    """A user's record while changes are being folded into it."""

    def __init__(self, record: UserRecord | None, folded: Position, config: FoldConfig) -> None:
        self.config = config
        self.folded = folded
        self.record = record
        self.recent = record.recent() if record is not None else {}
        self.profile = record.profile if record is not None else None
        self.rows: list[Act] = []
        self.position: Position | None = None
        self.erased: Position | None = None
        self.forward: list[Act] = []
        self.stored: list[Act] = []
        self.duplicates = self.late = 0
        self.known = record is not None

    def act(self, act: Act) -> None:
        """Fold one interaction, or recognise it as a replay or a duplicate."""
        known = self.recent.get(act.event)
        if act.position <= self.folded:
            if (known is None or known[0] == act.position.offset) and not act.late(self.config):
                self.forward.append(act)
            return
        if known is not None and known[1] >= act.arrival - self.config.recent_age * 1000:
            self.duplicates += 1
            return
        self._remember(act)
        self.position, self.known = act.position, True
        self.stored.append(act)
        if act.late(self.config):
            self.late += 1
            return
        self.forward.append(act)
        if act.item >= 0 and act.event_type not in self.config.passing:
            self.rows.append(act)

    def _remember(self, act: Act) -> None:
        """Keep the event's id, dropping what is too old or too much."""
        self.recent.pop(act.event, None)
        self.recent[act.event] = (act.position.offset, act.arrival)
        oldest_kept = act.arrival - self.config.recent_age * 1000
        while True:
            oldest = next(iter(self.recent))
            if len(self.recent) <= self.config.recent_events and self.recent[oldest][1] >= oldest_kept:
                return
            del self.recent[oldest]

    def profile_change(self, change: ProfileChange) -> None:
        """Take over a profile."""
        if change.position > self.folded:
            self.profile, self.position, self.known = change.profile, change.position, True

    def erase(self, erasure: Erasure) -> None:
        """Forget everything up to here."""
        if erasure.position <= self.folded:
            return
        self.position = self.erased = erasure.position
        self.record, self.profile, self.known = None, None, False
        self.recent, self.rows, self.stored = {}, [], []

    def finished(self) -> UserRecord | None:
        """Return the record that holds everything folded."""
        if not self.known:
            return None
        before = self.record or UserRecord()
        rows, seen = before.rows(), before.seen_items()
        if self.rows:
            added = [(act.item, act.timestamp, act.event_type, act.value) for act in self.rows]
            rows = merge_rows(rows, HistoryRows.of(added), self.config.history_rows)
            seen = merge_seen(seen, np.array([act.item for act in self.rows], np.int32), self.config)
        total = before.interactions + len(self.rows)
        return _record(rows, seen, total, self.recent, self.profile)


def fold_user(
    record: UserRecord | None, folded: Position, changes: Sequence[UserChange], config: FoldConfig
) -> UserFold:
    """Fold changes, in order of position, into a user's record that stands at `folded` (None: nothing known).

    What stands at or before `folded` is a replay and changes nothing here. The same event id at another position is a
    duplicate: the first payload wins, and it is neither folded nor forwarded.
    """
    folding = _Folding(record, folded, config)
    for change in changes:
        if isinstance(change, Act):
            folding.act(change)
        elif isinstance(change, ProfileChange):
            folding.profile_change(change)
        else:
            folding.erase(change)
    result = record if folding.position is None else folding.finished()
    return UserFold(
        result,
        folding.position,
        folding.forward,
        folding.stored,
        folding.duplicates,
        folding.late,
        folding.erased,
    )


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
    """Join a bulk fold's record (`right`) into a standing one; event ids stay, a profile it brings is the newer."""
    if left is None:
        return right
    rows = merge_rows(left.rows(), right.rows(), config.history_rows)
    seen = merge_seen(left.seen_items(), right.seen_items(), config)
    total = left.interactions + right.interactions
    return _record(rows, seen, total, left.recent(), right.profile or left.profile)


def _record(
    rows: HistoryRows,
    seen: Ordinals,
    interactions: int,
    recent: dict[int, tuple[int, int]],
    profile: Profile | None,
) -> UserRecord:
    """Pack columns into a record."""
    offsets: NDArray[np.int64] = np.array([known[0] for known in recent.values()], "<i8")
    arrivals: NDArray[np.int64] = np.array([known[1] for known in recent.values()], "<i8")
    return UserRecord(
        list(rows.names),
        rows.items.tobytes(),
        rows.timestamps.tobytes(),
        rows.codes.tobytes(),
        rows.values.tobytes(),
        seen.tobytes(),
        interactions,
        np.array(list(recent), "<u8").tobytes(),
        offsets.tobytes(),
        arrivals.tobytes(),
        profile,
    )
