"""Opens the stores that the settings name; adapters are found by entry point."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from kindred.app.sections import StoresConfig
from kindred.core.config import unknown_key
from kindred.core.errors import ConfigError, StoreUnavailable
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.interactions import InteractionStore
from kindred.ports.log import DeadLetters, EventLog
from kindred.ports.models import ModelStore
from kindred.ports.operations import Cache, Leases, TokenStore, TraceStore
from kindred.ports.resource import Resource
from kindred.ports.state import StateStore
from kindred.ports.vectors import VectorIndexes

GROUP = "kindred.adapters"


@dataclass(frozen=True, slots=True)
class Stores:
    """All open ports of one process; `lake` is the folder of the lake."""

    log: EventLog
    state: StateStore
    interactions: InteractionStore
    catalog: CatalogStore
    profiles: ProfileStore
    cache: Cache
    models: ModelStore
    vectors: VectorIndexes
    traces: TraceStore
    tokens: TokenStore
    leases: Leases
    dead_letters: DeadLetters
    lake: Path

    def resources(self) -> dict[str, Resource]:
        """Return what can be checked and closed, by port."""
        return {
            "event_log": self.log,
            "state": self.state,
            "interactions": self.interactions,
            "catalog": self.catalog,
            "profiles": self.profiles,
            "cache": self.cache,
            "models": self.models,
            "traces": self.traces,
            "tokens": self.tokens,
            "leases": self.leases,
            "dead_letters": self.dead_letters,
        }

    async def close(self) -> None:
        """Close everything, also where one store refuses; raise what the last of them raised."""
        async with AsyncExitStack() as stack:
            for resource in self.resources().values():
                stack.push_async_callback(resource.close)


async def open_stores(config: StoresConfig, home: Path) -> Stores:
    """Open one adapter per port; raise ConfigError for an unknown scheme or a combination that loses promises.

    Raises StoreUnavailable when the data folder cannot be made.
    """
    check_combination(config)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"the data folder {home} cannot be made: {error.strerror}; see KINDRED_HOME") from error

    async def opened(port: str) -> Any:
        store = await open_port(port, getattr(config, port), home)
        if port != "vectors":
            stack.push_async_callback(store.close)
        return store

    # One that cannot be opened must not leave the others open.
    async with AsyncExitStack() as stack:
        stores = await _opened(opened, home / "lake")
        stack.pop_all()
    return stores


async def _opened(opened: Callable[[str], Awaitable[Any]], lake: Path) -> Stores:
    return Stores(
        log=await opened("event_log"),
        state=await opened("state"),
        interactions=await opened("interactions"),
        catalog=await opened("catalog"),
        profiles=await opened("profiles"),
        cache=await opened("cache"),
        models=await opened("models"),
        vectors=await opened("vectors"),
        traces=await opened("traces"),
        tokens=await opened("tokens"),
        leases=await opened("leases"),
        dead_letters=await opened("dead_letters"),
        lake=lake,
    )


async def open_port(port: str, url: str, home: Path) -> Any:
    """Open the adapter that a URL names for a port; raise ConfigError when there is none or its driver is missing."""
    scheme, _, location = url.partition(":")
    known = {entry.name.removeprefix(f"{port}."): entry for entry in _adapters() if entry.name.startswith(f"{port}.")}
    if scheme not in known:
        raise ConfigError(f"stores.{port} = {url!r}: the scheme {scheme!r} is {unknown_key(scheme, known)}")
    try:
        opener: Callable[[str, Path], Awaitable[Any]] = known[scheme].load()
    except ImportError as error:
        raise ConfigError(f"stores.{port} = {url!r} needs: pip install 'kindred[{scheme}]' ({error})") from error
    return await opener(location, home)


def check_combination(config: StoresConfig) -> None:
    """Raise ConfigError when an embedded log would outlive a state or catalogue that is only in memory."""
    if config.event_log.startswith("memory:"):
        return
    for port in ("state", "catalog", "profiles", "interactions"):
        url = getattr(config, port)
        if url.startswith("memory:"):
            raise ConfigError(
                f"stores.{port} = {url!r} forgets what stores.event_log = {config.event_log!r} says was handled: "
                f"use a durable {port}, or memory for both"
            )


def _adapters() -> list[Any]:
    return list(entry_points(group=GROUP))
