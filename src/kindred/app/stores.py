"""Opens the stores that the settings name; adapters are found by entry point."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any

from kindred.app.sections import StoresConfig
from kindred.core.config import unknown_key, without_secrets
from kindred.core.errors import ConfigError
from kindred.ingest.folding import IngestStores
from kindred.jobs.folder import enter
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.interactions import InteractionStore
from kindred.ports.log import DeadLetters, EventLog
from kindred.ports.models import ModelStore
from kindred.ports.operations import Cache, Leases, Notifier, TokenStore, TraceStore
from kindred.ports.resource import Resource
from kindred.ports.rules import RuleStore
from kindred.ports.state import StateStore
from kindred.ports.text import TextIndex
from kindred.ports.vectors import VectorIndexes

GROUP = "kindred.adapters"

# Where the name of an extra is not the scheme of its URLs.
_EXTRAS = {"postgresql": "postgres", "postgres": "postgres"}


@dataclass(frozen=True, slots=True)
class Stores:
    """All open ports of one process; `lake` is the folder of the lake, `item_log` None where items need no log.

    `entered`: by being open it says that this process uses the data folder; None where the caller has that alone.
    """

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
    rules: RuleStore
    leases: Leases
    dead_letters: DeadLetters
    notifier: Notifier
    text: TextIndex
    lake: Path
    item_log: EventLog | None = None
    entered: IO[bytes] | None = None

    @property
    def home(self) -> Path:
        """Return the data folder."""
        return self.lake.parent

    @property
    def ingest(self) -> IngestStores:
        """Return those that a consumer folds into."""
        return IngestStores(
            log=self.log,
            state=self.state,
            interactions=self.interactions,
            catalog=self.catalog,
            profiles=self.profiles,
            lake=self.lake,
            dead_letters=self.dead_letters,
            item_log=self.item_log,
            cache=self.cache,
        )

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
            "rules": self.rules,
            "leases": self.leases,
            "dead_letters": self.dead_letters,
            "notifier": self.notifier,
            "text": self.text,
            **({} if self.item_log is None else {"item_log": self.item_log}),
        }

    async def close(self) -> None:
        """Close everything, also where one store refuses; raise what the last of them raised."""
        async with AsyncExitStack() as stack:
            if self.entered is not None:
                stack.callback(self.entered.close)
            for resource in self.resources().values():
                stack.push_async_callback(resource.close)


async def open_stores(config: StoresConfig, home: Path, *, alone: bool = False) -> Stores:
    """Open one adapter per port; raise ConfigError for an unknown scheme or a combination that loses promises.

    `alone`: the caller has the data folder to itself, so that it need not be entered. Raises StoreUnavailable when the
    folder cannot be made or used, LeaseHeld while it is being restored.
    """
    check_combination(config)

    async def opened(port: str) -> Any:
        url = getattr(config, port)
        if not url:
            return None
        store = await open_port(port, url, home)
        if port != "vectors":
            stack.push_async_callback(store.close)
        return store

    # One that cannot be opened must not leave the others open.
    async with AsyncExitStack() as stack:
        entered = None if alone else enter(home)
        if entered is not None:
            stack.callback(entered.close)
        stores = await _opened(opened, home / "lake")
        check_promises(config, stores)
        stack.pop_all()
    return replace(stores, entered=entered)


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
        rules=await opened("rules"),
        leases=await opened("leases"),
        dead_letters=await opened("dead_letters"),
        notifier=await opened("notifier"),
        text=await opened("text"),
        lake=lake,
        item_log=await opened("item_log"),
    )


async def open_port(port: str, url: str, home: Path) -> Any:
    """Open the adapter that a URL names for a port; raise ConfigError when there is none or its driver is missing."""
    scheme, _, location = url.partition(":")
    known = {entry.name.removeprefix(f"{port}."): entry for entry in _adapters() if entry.name.startswith(f"{port}.")}
    if scheme not in known:
        raise ConfigError(f"stores.{port} = {_shown(url)}: the scheme {scheme!r} is {unknown_key(scheme, known)}")
    try:
        opener: Callable[[str, Path], Awaitable[Any]] = known[scheme].load()
    except ImportError as error:
        extra = _EXTRAS.get(scheme, scheme)
        raise ConfigError(f"stores.{port} = {_shown(url)} needs: pip install 'kindred[{extra}]' ({error})") from error
    return await opener(location, home)


def check_combination(config: StoresConfig) -> None:
    """Raise ConfigError when a log would outlive what is folded from it, because that is only in memory."""
    if config.event_log.startswith("memory:"):
        return
    for port in ("state", "catalog", "profiles", "interactions", "dead_letters", "item_log"):
        url = getattr(config, port)
        if url.startswith("memory:"):
            raise ConfigError(
                f"stores.{port} = {_shown(url)} forgets what stores.event_log = {_shown(config.event_log)} says was "
                f"handled: use a durable {port}, or memory for both"
            )


def check_promises(config: StoresConfig, stores: Stores) -> None:
    """Raise ConfigError when what the adapters promise does not keep events counted once and by all."""
    log, item_log = f"stores.event_log = {_shown(config.event_log)}", f"stores.item_log = {_shown(config.item_log)}"
    if stores.log.capabilities.partitioned and stores.item_log is None:
        raise ConfigError(
            f"{log} has several partitions, whose users act on the same items: "
            f'set stores.item_log to a second log, such as "{_beside(config.event_log)}"'
        )
    if stores.item_log is not None and config.item_log == config.event_log:
        raise ConfigError(f"{item_log} is the log of the events: give the items a log of their own")
    if stores.item_log is not None and stores.log.capabilities.durable and not stores.item_log.capabilities.durable:
        raise ConfigError(f"{item_log} may lose what {log} says was handled: use a durable one")
    if not (stores.log.capabilities.groups and stores.log.capabilities.shared):
        return
    for port in ("state", "interactions", "catalog", "profiles", "dead_letters", "leases"):
        if not stores.resources()[port].capabilities.shared:
            raise ConfigError(
                f"stores.{port} = {_shown(getattr(config, port))} serves one process, and {log} is folded by several: "
                f"use one that they can share"
            )


def _beside(url: str) -> str:
    """Return a name for the items' log, made from that of the events' log."""
    place, mark, query = without_secrets(url).partition("?")
    return (
        f"{place}.items{mark}{query}" if "/" in place else f"{place.partition(':')[0]}:{place.partition(':')[2] or '4'}"
    )


def _shown(url: str) -> str:
    """Return a URL in quotes without the password that it may carry."""
    return repr(without_secrets(url))


def _adapters() -> list[Any]:
    return list(entry_points(group=GROUP))
