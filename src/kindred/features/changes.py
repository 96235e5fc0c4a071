"""What changes a user's record, ready to be folded, and what a fold hands on."""

import math
from typing import TypeAlias

import msgspec
import xxhash

from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.groups import FoldConfig


class Act(msgspec.Struct, frozen=True, gc=False):
    """One interaction.

    `event` is a 64-bit hash of the event id, `item` an ordinal or -1, `arrival` and `timestamp` milliseconds since 1970
    UTC, `value` a rating, a price, the watched share of a view, or NaN; `watch` seconds watched or NaN. `request` is
    `request_hash` of the slate's request id, 0 = unknown. `country` has two letters; without one the profile's counts.
    """

    position: Position
    event: int
    arrival: int
    item: int
    event_type: str
    timestamp: int
    value: float
    watch: float = math.nan
    request: int = 0
    device: str = ""
    country: str = ""

    def late(self, config: FoldConfig) -> bool:
        """Say whether it arrived too long after it happened to change any state."""
        return self.arrival - self.timestamp > config.lateness * 1000


class Shown(msgspec.Struct, frozen=True, gc=False):
    """Items were shown to a user: told by a client (`client`), or by the server that answered.

    `items` are ordinals in the order they stood, the first in slot `first` of the placement. A client's tells count as
    events of `event_type`, the server's do not.
    """

    position: Position
    event: int
    arrival: int
    timestamp: int
    items: tuple[int, ...]
    request: int = 0
    placement: str = ""
    first: int = 0
    client: bool = True
    event_type: str = "impression"
    country: str = ""

    def late(self, config: FoldConfig) -> bool:
        """Say whether it arrived too long after it happened to change any state."""
        return self.arrival - self.timestamp > config.lateness * 1000


class ProfileChange(msgspec.Struct, frozen=True, gc=False):
    """A user's profile as it is from `position` on."""

    position: Position
    profile: Profile


class Erasure(msgspec.Struct, frozen=True, gc=False):
    """A user is forgotten at `position`; `follows`: because a person is whom this anonymous user turned out to be."""

    position: Position
    arrival: int = 0
    follows: bool = False


class Removal(msgspec.Struct, frozen=True, gc=False):
    """An item leaves a user's history, or (`reactions`) only the likes and dislikes of it do; totals stay."""

    position: Position
    item: int
    reactions: bool = False


class MergeInto(msgspec.Struct, frozen=True, gc=False):
    """This anonymous user turned out to be `into`: the record is handed over and sealed."""

    position: Position
    merge_id: str
    into: str


class Handoff(msgspec.Struct, frozen=True, gc=False):
    """The record of the anonymous user `source` arrives; `merge_id` makes it count once."""

    position: Position
    merge_id: str
    source: str
    record: bytes
    arrival: int = 0


UserChange: TypeAlias = Act | Shown | ProfileChange | Erasure | Removal | MergeInto | Handoff


class Handing(msgspec.Struct, frozen=True, gc=False):
    """A sealed record goes to the log, keyed by the known user."""

    position: Position
    merge_id: str
    into: str
    record: bytes


class Rekeyed(msgspec.Struct, frozen=True, gc=False):
    """The event at `position` goes to the log again, unchanged but for its user, who is `into`."""

    position: Position
    into: str


class Forgetting(msgspec.Struct, frozen=True, gc=False):
    """The anonymous user `user_id` was merged into one who is forgotten since `arrival`, and is forgotten too."""

    position: Position
    user_id: str
    arrival: int


Outgoing: TypeAlias = Handing | Rekeyed | Forgetting


class ItemAct(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one event of a user adds to one item; `source` is the position of that event in the users' log.

    `event_type` is empty where the event itself is not counted. `exposed`: it is an exposure. `extra`: entries of item
    counters to be added besides (attribution, whole records of an import), `local` those to be added in countries.
    """

    source: Position
    item: int
    event_type: str
    timestamp: int
    value: float = math.nan
    watch: float = math.nan
    exposed: bool = False
    country: str = ""
    extra: bytes = b""
    local: tuple[tuple[str, bytes], ...] = ()


class PlacementCredit(msgspec.Struct, frozen=True, gc=False):
    """What a placement gained at `slot` (0 to 19, 0 where unknown); may be negative. `dwell_ms`: milliseconds."""

    position: Position
    placement: str
    slot: int
    exposures: int = 0
    clicks: int = 0
    conversions: int = 0
    dwell_ms: int = 0


class Remains(msgspec.Struct, frozen=True, array_like=True):
    """What an event added to others than its user: to items, to placements, and that a client told of `told`."""

    forward: list[ItemAct]
    credits: list[PlacementCredit]
    told: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Remains)


def encode_remains(remains: Remains) -> bytes:
    """Write what remains of an event."""
    return _encoder.encode(remains)


def decode_remains(data: bytes) -> Remains:
    """Read what remains of an event; raise InvalidInput when the bytes are something else."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not what remains of an event: {error}") from error


def request_hash(request_id: str | None) -> int:
    """Return the 64-bit hash of a request id, 0 where there is none."""
    return xxhash.xxh3_64_intdigest(request_id.encode()) if request_id else 0
