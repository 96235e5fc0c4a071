"""Which event ids this process has seen lately, so that a call that is sent again can be told so."""

from kindred.core.clock import DAY
from kindred.core.event import Interaction
from kindred.core.position import Position

REMEMBERED = 50_000
"""Event ids of clients that are remembered, the latest ones; for a day at most."""

_Key = tuple[str, str]
_OWN = "evt_"


class RecentIds:
    """The positions of recent events that bear an id of their client's, by user and id.

    A help and no promise: what another process took, or what is no longer remembered, is found when it is folded.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        """Remember at most `most` ids."""
        self._most = most
        self._seen: dict[_Key, tuple[Position, int]] = {}

    def find(self, event: Interaction) -> Position | None:
        """Return where the same id of the same user stands already, or None."""
        found = self._seen.get((event.user_id, event.event_id))
        return found[0] if found is not None and event.ingested_at - found[1] < DAY else None

    def remember(self, event: Interaction, position: Position) -> None:
        """Remember a durable event, unless its id is of the server's own making: such a one is never sent again."""
        if event.event_id.startswith(_OWN) or self.find(event) is not None:
            return
        key = (event.user_id, event.event_id)
        self._seen.pop(key, None)
        if len(self._seen) >= self._most:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = (position, event.ingested_at)
