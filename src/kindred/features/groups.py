"""The fold groups of the state store, and what every fold needs to know."""

from hashlib import blake2b
from typing import Annotated

from msgspec import Meta

from kindred.core.config import Config
from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.counters import check_name_buckets
from kindred.ports.state import StateKey

USER = "user@2"
ITEM = "item@3"
ITEM_COUNTRY = "item_country@1"
PLACEMENT = "placement@1"
ERASED = "erased@1"
TRENDING = "trending@1"
IMPORT = "import@1"

UNKNOWN_TIME = -1
MAX_TYPES = 255


_AtLeastOne = Annotated[int, Meta(ge=1)]
_AtLeastZero = Annotated[int, Meta(ge=0)]


class FoldConfig(Config, frozen=True, kw_only=True):
    """What the folds keep; a change of these values needs a new version of the groups.

    `history_rows`: the newest interactions of a user that are kept. `seen_items`: distinct items that a user is known
    to have seen; over it the youngest of the catalogue stay. `recent_events`: event ids that a user record remembers.
    `recent_age`: seconds for which it does. `lateness`: seconds from an event to its arrival, over which only history
    takes it.
    `passing`: event types that leave no row in a user's history. `quiet`: event types that are no activity of an item.
    `views`, `clicks`, `ratings`, `conversions`, `impressions`: event types that count as such, all others in totals
    only. `reactions`: what a user may take back. `session_gap`: seconds of silence that end a session.
    `attribution`: seconds for which an outcome is put down to the last exposure. `exposures`, `outcomes`: the newest of
    each that a user record keeps for that. `devices`: names that a user's device is counted under, others together.
    `client_placements`: placements whose exposures only clients tell; elsewhere what was served is exposed.
    `placements`: names that what clients and imports say was shown is counted under, beside the configured
    placements; all others count together, as one without a name. Where neither are known, every name counts.
    """

    history_rows: _AtLeastOne = 1_000
    seen_items: _AtLeastOne = 100_000
    recent_events: _AtLeastOne = 256
    recent_age: _AtLeastZero = 86_400
    lateness: _AtLeastZero = 86_400
    passing: tuple[str, ...] = ("impression", "search")
    quiet: tuple[str, ...] = ("impression", "search", "skip", "dislike")
    views: tuple[str, ...] = ("view",)
    clicks: tuple[str, ...] = ("click",)
    ratings: tuple[str, ...] = ("rating",)
    conversions: tuple[str, ...] = ("purchase",)
    impressions: tuple[str, ...] = ("impression",)
    reactions: tuple[str, ...] = ("like", "dislike")
    session_gap: _AtLeastOne = 1_800
    attribution: _AtLeastOne = 86_400
    exposures: _AtLeastOne = 256
    outcomes: _AtLeastOne = 128
    devices: tuple[str, ...] = ("mobile", "web", "tv", "desktop", "tablet")
    client_placements: tuple[str, ...] = ()
    placements: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ConfigError where two devices would be counted as one."""
        check_name_buckets(self.devices)

    def placement(self, name: str | None) -> str:
        """Return what a placement that a client named is counted under: nobody can make up records without end."""
        return name if name and (not self.placements or name in self.placements) else ""


def user_key(user_id: str) -> StateKey:
    """Return where a user's record stands."""
    return StateKey(USER, user_id)


def item_key(ordinal: int) -> StateKey:
    """Return where an item's record stands."""
    return StateKey(ITEM, str(ordinal))


def item_country_key(ordinal: int, country: str) -> StateKey:
    """Return where an item's activity in a country (two letters) stands."""
    return StateKey(ITEM_COUNTRY, f"{ordinal}/{country}")


def placement_key(placement: str, partition: int) -> StateKey:
    """Return where a partition's users are counted by what a placement showed them."""
    return StateKey(PLACEMENT, f"{placement}/{partition}")


def erased_key(user_id: str) -> StateKey:
    """Return where it is written that a user was forgotten; the key is a hash, so it names nobody."""
    return StateKey(ERASED, blake2b(user_id.encode(), digest_size=16).hexdigest())


def erasure_mark(position: Position, arrival: int) -> bytes:
    """Write what stands at `erased_key`: the position of the request, and its arrival (ms)."""
    return f"{position} {arrival}".encode()


def read_erasure_mark(data: bytes) -> tuple[Position, int]:
    """Read what `erasure_mark` wrote; raise InvalidInput when it is something else."""
    try:
        position, _, arrival = data.decode().partition(" ")
        return Position.parse(position), int(arrival or 0)
    except ValueError as error:
        raise InvalidInput("a mark of an erasure is a position and a time") from error


def import_key(import_id: str, epoch: int = 0, partition: int = 0) -> StateKey:
    """Return where it is written that the part of an import was folded that a partition of an epoch has."""
    return StateKey(IMPORT, f"{import_id}/{epoch}.{partition}" if epoch or partition else import_id)
