"""A worker folds its share of a log's partitions, and is patient with broken stores and with other members."""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Protocol

from msgspec import Meta

from kindred.core.config import Config
from kindred.core.errors import InvalidInput, LeaseHeld, StateWentBack
from kindred.core.position import Position
from kindred.ports.log import EventLog, LogRecord, Membership
from kindred.ports.telemetry import Meter

# What the contents of a record can raise; a broken store raises something else and is waited for.
_UNFOLDABLE = (InvalidInput, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, struct.error)

Role = Literal["stopped", "standby", "owner", "stalled"]

_logger = logging.getLogger(__name__)

# Without a pause a loop would leave nothing of the processor to the rest.
_Seconds = Annotated[float, Meta(ge=0.001)]


class PaceConfig(Config, frozen=True, kw_only=True):
    """How fast a worker goes.

    `batch`: log records of one partition folded at once. `idle_poll`, `idle_most`: seconds between looks at an empty
    log, growing from the first to the second while it stays empty; what is recorded in the same process is seen at
    once. `standby_poll`: seconds between tries to own a partition. `retry_first`, `retry_most`: seconds to wait
    after a failed step, doubling.
    """

    batch: Annotated[int, Meta(ge=1, le=100_000)] = 2_000
    idle_poll: _Seconds = 0.02
    idle_most: _Seconds = 0.1
    standby_poll: _Seconds = 0.5
    retry_first: _Seconds = 0.05
    retry_most: _Seconds = 5.0


class Stage(Protocol):
    """What a worker does with the records of its partitions."""

    @property
    def name(self) -> str:
        """Return the name of the consumer group, which the log's commits carry."""
        ...

    @property
    def log(self) -> EventLog:
        """Return the log that is folded."""
        ...

    async def watermark(self, partition: int) -> Position:
        """Return the position up to which the state holds a partition."""
        ...

    async def start(self, partition: int) -> None:
        """Load what is kept in memory for a partition, before its first batch."""
        ...

    async def fold(self, records: Sequence[LogRecord], standing: Position) -> Position:
        """Fold records of one partition, at least the first of them; return where the fold stands now.

        `standing`: the watermark as it was read before. Raises StateWentBack where it is lower when state is written,
        LeaseHeld where the log takes no commit because the partition is another's by now.
        """
        ...

    async def bury(self, record: LogRecord, error: Exception, standing: Position) -> Position:
        """Set a record apart that breaks the fold; return its position. Raises StateWentBack as `fold` does."""
        ...

    async def tick(self, partition: int, position: Position) -> None:
        """Do what is due with time alone, `position` being folded; raises what `fold` does."""
        ...

    def drop(self, partition: int) -> None:
        """Forget what is kept in memory for a partition that is another's now."""
        ...


@dataclass(slots=True)
class _Owned:
    """A partition that this worker folds, under which fencing number, and how far."""

    fence: int
    position: Position


class WorkerStatus(NamedTuple):
    """What a worker is doing; `positions` by partition, `cause` says why it is stalled."""

    role: Role
    positions: Mapping[int, Position]
    cause: str = ""


class Worker:
    """Folds the partitions that its membership gives it, one batch of each in turn.

    A partition that another takes over is dropped at once and begun anew from the state where it comes back. A store
    that fails stops the fold until it is back: nothing is skipped. Only records that can never be folded are set apart.
    """

    def __init__(self, stage: Stage, join: Callable[[], Awaitable[Membership]], pace: PaceConfig, meter: Meter) -> None:
        """Prepare; nothing is read before `run` or `drain`."""
        self._stage, self._join, self._pace, self._meter = stage, join, pace, meter
        self._wake = asyncio.Event()
        self._owned: dict[int, _Owned] = {}
        # The fencing number under which the last commit of a partition was refused, and whether that goes on.
        self._refused: dict[int, int] = {}
        self._stuck: LeaseHeld | None = None
        self._role: Role = "stopped"
        self._cause = ""
        self._patience = pace.idle_poll

    @property
    def status(self) -> WorkerStatus:
        """Return what the worker is doing now."""
        return WorkerStatus(self._role, {part: owned.position for part, owned in self._owned.items()}, self._cause)

    def wake(self) -> None:
        """Look at the log at once; to be called in the event loop that runs the worker."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Fold what is owned until `stop` is set, then give it back."""
        delay = self._pace.retry_first
        while not stop.is_set():
            try:
                membership = await self._join()
                try:
                    await self._work(membership, stop)
                finally:
                    self._drop_all()
                    await membership.leave()
                delay = self._pace.retry_first
            except Exception as error:
                self._stalled(error)
                await _pause(stop.wait(), delay)
                delay = min(2 * delay, self._pace.retry_most)
        self._say("stopped")

    async def drain(self, targets: Sequence[Position]) -> None:
        """Return once all targets are folded, by whoever owns their partitions; fold here what nobody else does.

        Raises what a store raises while folding here, InvalidInput for a position that the log lacks, LeaseHeld where
        the log refuses commits of what it says is owned here.
        """
        membership = await self._join()
        try:
            while behind := [each for each in targets if not await self._reached(each)]:
                await self._settle(await membership.claims())
                moved = [await self._drain_step(target, membership) for target in behind if target[1] in self._owned]
                moved += [await self._step(partition, membership) for partition in self._older(behind)]
                self._check_commits()
                if not any(moved):
                    await asyncio.sleep(self._pace.idle_poll)
        finally:
            self._drop_all()
            await membership.leave()
            self._say("stopped")

    async def _reached(self, target: Position) -> bool:
        return target.offset < 0 or await self._stage.watermark(target.partition) >= target

    def _older(self, targets: Sequence[Position]) -> list[int]:
        """Return the partitions owned here besides those of targets that stand in an epoch before some target's."""
        newest, aimed = max(target.epoch for target in targets), {target.partition for target in targets}
        return [part for part, owned in self._owned.items() if part not in aimed and owned.position.epoch < newest]

    async def _drain_step(self, target: Position, membership: Membership) -> bool:
        if await self._step(target.partition, membership):
            return True
        owned = self._owned.get(target.partition)
        ends = {end.partition: end for end in await self._stage.log.ends()}
        if owned is not None and owned.position < target and ends.get(target.partition, owned.position) < target:
            raise InvalidInput(f"the log ends before {target}: it is not a position of this log")
        return False

    async def _work(self, membership: Membership, stop: asyncio.Event) -> None:
        """Fold until `stop` is set; a failing step is tried again, from where the state stands."""
        delay = self._pace.retry_first
        while not stop.is_set():
            try:
                await self._settle(await membership.claims())
                if not self._owned:
                    self._say("standby")
                    await _pause(stop.wait(), self._pace.standby_poll)
                    continue
                self._say("owner")
                moved = [await self._step(partition, membership) for partition in list(self._owned)]
                if any(moved):
                    self._patience = self._pace.idle_poll
                else:
                    await self._idle()
                self._check_commits()
                delay = self._pace.retry_first
            except Exception as error:
                self._drop_all()
                self._stalled(error)
                await _pause(stop.wait(), delay)
                delay = min(2 * delay, self._pace.retry_most)

    async def _settle(self, claims: Mapping[int, int]) -> None:
        """Drop what is another's, and find out where the fold of what is new here stands."""
        for partition, owned in list(self._owned.items()):
            if claims.get(partition) != owned.fence:
                self._drop(partition)
        started = [partition for partition in claims if partition not in self._owned]
        if not started:
            return
        committed = {place.partition: place for place in await self._stage.log.committed(self._stage.name)}
        for partition in started:
            watermark = await self._stage.watermark(partition)
            await self._stage.start(partition)
            # A commit that stands before the state is a replay; one behind it is of a store that was restored.
            position = min(watermark, committed.get(partition, watermark))
            self._owned[partition] = _Owned(claims[partition], position)

    async def _step(self, partition: int, membership: Membership) -> bool:
        """Fold one batch of a partition; return whether there was one."""
        owned = self._owned.get(partition)
        if owned is None:
            return False
        records = await self._stage.log.read(owned.position, self._pace.batch)
        if not records:
            return False
        if not await membership.holds(partition, owned.fence):
            self._drop(partition)
            return False
        try:
            standing = await self._standing(partition, owned)
            owned.position = await fold_or_bury(self._stage, records, standing)
        except StateWentBack as error:
            self._begin_anew(partition, error)
            return False
        except LeaseHeld as error:
            self._give_up(partition, owned.fence, error)
            return False
        self._refused.pop(partition, None)
        return True

    def _give_up(self, partition: int, fence: int, error: LeaseHeld) -> None:
        """Drop a partition whose commit the log refused: its next owner folds on from where the state stands.

        That may be this worker again, under another fencing number. Under the same one nobody else has it, and it
        would be folded and refused for ever.
        """
        if self._refused.get(partition) == fence:
            self._stuck = error
        else:
            _logger.info("group %s: %s", self._stage.name, error.detail)
            self._meter.count("consumer_stalls", group=self._stage.name)
        self._refused[partition] = fence
        self._drop(partition)

    def _check_commits(self) -> None:
        """Raise LeaseHeld where the log refuses commits of a partition that is still this worker's."""
        stuck, self._stuck = self._stuck, None
        if stuck is not None:
            raise stuck

    async def _standing(self, partition: int, owned: _Owned) -> Position:
        """Return the state's watermark; raise StateWentBack where it lacks what was folded into it."""
        watermark = await self._stage.watermark(partition)
        if watermark < owned.position:
            raise StateWentBack(f"the state went back from {owned.position} to {watermark}")
        return watermark

    def _begin_anew(self, partition: int, error: StateWentBack) -> None:
        """Drop a partition whose state went back, to fold on from where that stands."""
        _logger.warning(
            "group %s: %s, as a copy or a late replica does: folding on from there", self._stage.name, error.detail
        )
        self._drop(partition)

    async def _idle(self) -> None:
        """Do what is due with time, then wait for a wake-up or the next look."""
        for partition, owned in list(self._owned.items()):
            try:
                await self._standing(partition, owned)
                await self._stage.tick(partition, owned.position)
            except StateWentBack as error:
                self._begin_anew(partition, error)
            except LeaseHeld as error:
                self._give_up(partition, owned.fence, error)
        await _pause(self._wake.wait(), self._patience)
        self._patience = self._pace.idle_poll if self._wake.is_set() else min(2 * self._patience, self._pace.idle_most)
        self._wake.clear()

    def _drop(self, partition: int) -> None:
        del self._owned[partition]
        self._stage.drop(partition)

    def _drop_all(self) -> None:
        for partition in list(self._owned):
            self._drop(partition)

    def _say(self, role: Role) -> None:
        """Change roles, and log it once."""
        if role != self._role:
            _logger.info("group %s: this process is %s", self._stage.name, role)
        self._role, self._cause = role, ""

    def _stalled(self, error: Exception) -> None:
        """Remember why nothing moves."""
        cause = f"{type(error).__name__}: {error}"
        if cause != self._cause:
            _logger.warning("group %s waits: %s", self._stage.name, cause, exc_info=error)
        self._role, self._cause = "stalled", cause
        self._meter.count("consumer_stalls", group=self._stage.name)


async def fold_or_bury(stage: Stage, records: Sequence[LogRecord], standing: Position) -> Position:
    """Fold records; what breaks the fold is narrowed down by halves until one record stands alone, and buried.

    `standing`: the state's watermark, read before. Raises StateWentBack where the state holds less than that.
    """
    try:
        return await stage.fold(records, standing)
    except _UNFOLDABLE as error:
        if len(records) > 1:
            return await fold_or_bury(stage, records[: len(records) // 2], standing)
        _logger.warning("record %s cannot be folded", records[0].position, exc_info=error)
        return await stage.bury(records[0], error, standing)


async def _pause(awaitable: Awaitable[object], seconds: float) -> None:
    """Wait for something, at most `seconds`."""
    try:
        await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return
