"""Placements that change while servers run: the settings' own, and over them the newest version of the stored ones."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kindred.core.clock import Clock
from kindred.core.errors import ConfigError, Conflict, KindredError, NotFound
from kindred.core.rules import Rule
from kindred.ports.rules import RuleStore, RuleVersion
from kindred.ports.telemetry import Meter
from kindred.recommend.config import PlacementConfig

PERIOD = 0.3
"""Seconds between two looks at the store; a server has a new version within a second."""
SETTINGS = RuleVersion(version=0, created=0, note="the settings alone")
"""What stands before the first version."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placements:
    """All surfaces of one moment by name, and the stored version that they come of: who made it, and its document."""

    by_name: Mapping[str, PlacementConfig]
    about: RuleVersion = SETTINGS
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """Return the number of the stored version, 0 where the settings alone hold."""
        return self.about.version


@dataclass(frozen=True, slots=True)
class Change:
    """What a new version leads to, and the names of the placements that it changes."""

    placements: Placements
    changed: list[str]


class LivePlacements:
    """Keeps a process's placements current, reads their versions and makes new ones.

    A placement that the newest version names is as that says, whole; every other one is as the settings say.
    """

    def __init__(self, store: RuleStore, configured: Mapping[str, PlacementConfig], clock: Clock, meter: Meter) -> None:
        """Follow `store` over the `configured` placements; until the first look, those hold."""
        self._store, self._clock, self._meter = store, clock, meter
        self._one_at_a_time = asyncio.Lock()
        self.configured = configured
        self.now = Placements(configured)
        self.looked = False
        self.trouble: str | None = None

    async def step(self) -> None:
        """Take over the newest version; raise StoreUnavailable, or ConfigError for one that cannot be used."""
        async with self._one_at_a_time:
            newest = await self._newest()
            if newest != self.now.about:
                self.now = await self._read(newest)
            self._meter.gauge("placements_version", self.now.version)
            self.looked, self.trouble = True, None

    async def run(self) -> None:
        """Step until cancelled; whatever fails is tried again and noted in `trouble`, and what was known goes on."""
        while True:
            try:
                await self.step()
            except Exception as error:
                said = error.detail if isinstance(error, KindredError) else f"{type(error).__name__}: {error}"
                trouble = f"version {self.now.version} of the placements goes on serving: {said}"
                if trouble != self.trouble:
                    _logger.warning(trouble)
                self.trouble = trouble
                self._meter.count("placements_failures")
            await asyncio.sleep(PERIOD)

    async def read(self, version: int | None = None) -> Placements:
        """Return a version, by default the newest; raise NotFound for one that was never made."""
        newest = await self._newest()
        if version is None or version == newest.version:
            return await self._read(newest)
        about = [SETTINGS] if version == 0 else await self._store.versions(version + 1, 1)
        if not about or about[0].version != version:
            raise NotFound(f"there is no version {version} of the placements; the newest is {newest.version}")
        return await self._read(about[0])

    async def rules(self, placement: str, version: int) -> tuple[Rule, ...]:
        """Return the rules of a placement in a version; none where that cannot be read any more."""
        with contextlib.suppress(KindredError):
            made = self.now if version == self.now.version else await self.read(version)
            found = made.by_name.get(placement)
            return () if found is None else found.rules
        return ()

    async def history(self, below: int | None, most: int) -> list[RuleVersion]:
        """Return up to `most` versions with a smaller number than `below`, newest first."""
        return await self._store.versions(below, most)

    async def put(self, document: Mapping[str, Any], expected: int, author: str, note: str, dry_run: bool) -> Change:
        """Make a checked document the next version.

        `expected`: the version that it builds on; raises Conflict, and changes nothing, where that is not the newest.
        `dry_run`: only say what would change.
        """
        with contextlib.suppress(ConfigError):
            # A version that this release cannot use is one more reason for a new one.
            await self.step()
        newest = await self._newest()
        if newest.version != expected:
            raise Conflict(
                f"the placements are at version {newest.version}, not {expected}: read that one and build on it"
            )
        about = RuleVersion(version=expected + 1, created=self._clock.now(), author=author, note=note)
        before, body = self.now, msgspec.json.encode(document)
        after = self._made(about, body)
        if not dry_run:
            await self._store.append(about, body)
            await self.step()
        return Change(after, _changed(before, after))

    async def roll_back(self, version: int, expected: int | None, author: str, note: str, dry_run: bool) -> Change:
        """Make the document of an earlier version the next one, 0 for the settings alone; otherwise as `put`.

        `expected`: None where whatever is the newest may be left behind. Raises NotFound for a version never made.
        """
        back = await self.read(version)
        if expected is None:
            expected = (await self._newest()).version
        return await self.put(back.document, expected, author, note or f"back to version {version}", dry_run)

    async def _newest(self) -> RuleVersion:
        return await self._store.newest() or SETTINGS

    async def _read(self, about: RuleVersion) -> Placements:
        body = b"{}" if about.version == 0 else await self._store.body(about.version)
        if body is None:
            raise ConfigError(f"version {about.version} of the placements has no document")
        return self._made(about, body)

    def _made(self, about: RuleVersion, body: bytes) -> Placements:
        """Return what a version leads to; raise ConfigError where this release cannot use it."""
        try:
            stored = msgspec.json.decode(body, type=dict[str, PlacementConfig])
        except (msgspec.DecodeError, ConfigError) as error:
            raise ConfigError(f"version {about.version} of the placements cannot be used: {error}") from error
        return Placements({**self.configured, **stored}, about, msgspec.json.decode(body))


def _changed(before: Placements, after: Placements) -> list[str]:
    names = sorted({*before.by_name, *after.by_name})
    return [name for name in names if before.by_name.get(name) != after.by_name.get(name)]
