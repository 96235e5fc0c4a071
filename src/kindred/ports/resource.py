"""What every store has in common."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter promises; start-up refuses a combination that cannot keep what the configuration asks for.

    `durable`: an acknowledged write survives the end of the machine. `shared`: several processes may use it at once.
    `filtered_search`, `ttl`, `atomic_offset`, `groups`: as the ports that speak of them say. `partitioned`: a log with
    several partitions, whose items are folded from a second log that is keyed by item.
    """

    durable: bool = False
    shared: bool = False
    filtered_search: bool = False
    ttl: bool = False
    atomic_offset: bool = False
    groups: bool = False
    partitioned: bool = False


class Resource(Protocol):
    """Something opened once by the composition root and closed by it."""

    @property
    def capabilities(self) -> Capabilities:
        """Return what this adapter promises."""
        ...

    async def check(self) -> None:
        """Return when the store answers; raise StoreUnavailable saying what is wrong and how to mend it."""
        ...

    async def close(self) -> None:
        """Release files and connections; a second call does nothing."""
        ...


@runtime_checkable
class Copyable(Protocol):
    """A store kept in files, of which a consistent copy can be made while it is in use."""

    @property
    def place(self) -> Path:
        """Return the file or the folder that holds everything."""
        ...

    async def copy_to(self, place: Path) -> None:
        """Write a durable copy to `place`, where nothing stands yet; it opens as this store does."""
        ...
