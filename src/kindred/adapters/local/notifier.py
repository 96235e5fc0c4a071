"""No notices: everyone finds out by looking."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from kindred.core.errors import ConfigError
from kindred.ports.resource import Capabilities


class PollNotifier:
    """Says nothing and hears nothing, in any number of processes."""

    @property
    def capabilities(self) -> Capabilities:
        """Return shared: that nothing is heard holds everywhere."""
        return Capabilities(shared=True)

    async def publish(self, topic: str) -> None:
        """Do nothing."""

    async def wait(self, topics: Sequence[str], timeout: float) -> str | None:
        """Return None after `timeout` seconds."""
        await asyncio.sleep(timeout)
        return None

    async def check(self) -> None:
        """Do nothing: there is nothing that could be away."""

    async def close(self) -> None:
        """Do nothing."""


async def open_notifier(location: str, home: Path) -> PollNotifier:
    """Return the notifier `poll:`; raise ConfigError for anything behind the colon."""
    if location:
        raise ConfigError(f"stores.notifier: `poll:` has nothing behind the colon, not {location!r}")
    return PollNotifier()
