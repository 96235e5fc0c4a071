"""The fold groups of the state store, and what every fold needs to know."""

from typing import Annotated, NamedTuple

from msgspec import Meta

from kindred.core.config import Config
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.ports.state import StateKey

USER = "user@1"
ITEM = "item@1"
TRENDING = "trending@1"
IMPORT = "import@1"

UNKNOWN_TIME = -1
MAX_TYPES = 255


_AtLeastOne = Annotated[int, Meta(ge=1)]


class FoldConfig(Config, frozen=True, kw_only=True):
    """What the folds keep; a change of these values needs a new version of the groups.

    `history_rows`: the newest interactions of a user that are kept. `seen_items`: distinct items that a user is known
    to have seen; over it the youngest of the catalogue stay. `recent_events`: event ids that a user record remembers.
    `recent_age`: seconds for which it does. `lateness`: seconds from an event to its arrival, over which only history
    takes it.
    `passing`: event types that leave no row in a user's history. `quiet`: event types that are no activity of an item.
    """

    history_rows: _AtLeastOne = 1_000
    seen_items: _AtLeastOne = 100_000
    recent_events: _AtLeastOne = 256
    recent_age: Annotated[int, Meta(ge=0)] = 86_400
    lateness: Annotated[int, Meta(ge=0)] = 86_400
    passing: tuple[str, ...] = ("impression", "search")
    quiet: tuple[str, ...] = ("impression", "search", "skip", "dislike")


class Act(NamedTuple):
    """One interaction, ready to be folded.

    `event` is a 64-bit hash of the event id, `item` an ordinal or -1, `arrival` and `timestamp` milliseconds since 1970
    UTC, `value` a rating, a price or NaN.
    """

    position: Position
    event: int
    arrival: int
    item: int
    event_type: str
    timestamp: int
    value: float

    def late(self, config: FoldConfig) -> bool:
        """Say whether it arrived too long after it happened to change any state."""
        return self.arrival - self.timestamp > config.lateness * 1000


class ProfileChange(NamedTuple):
    """A user's profile as it is from `position` on."""

    position: Position
    profile: Profile


class Erasure(NamedTuple):
    """A user is forgotten at `position`."""

    position: Position


def user_key(user_id: str) -> StateKey:
    """Return where a user's record stands."""
    return StateKey(USER, user_id)


def item_key(ordinal: int) -> StateKey:
    """Return where an item's record stands."""
    return StateKey(ITEM, str(ordinal))


def trending_key(window: str) -> StateKey:
    """Return where the trending list of a window (`1h`, `24h`, `7d`) stands."""
    return StateKey(TRENDING, window)


def import_key(import_id: str) -> StateKey:
    """Return where it is written that an import was folded."""
    return StateKey(IMPORT, import_id)
