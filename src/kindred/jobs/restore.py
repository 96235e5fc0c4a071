"""What a restore does besides putting files back: a new epoch of the log, and people who were forgotten since."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from kindred.core.clock import Clock, SystemClock
from kindred.core.errors import ConfigError, Conflict, InvalidInput
from kindred.core.event import Event, Merged, ProfileErased, decode_event, encode_event, partition_key
from kindred.core.ids import new_id
from kindred.core.position import Position
from kindred.features.groups import ERASED, USER, erased_key, erasure_mark, read_erasure_mark, user_key
from kindred.jobs.copies import BackupManifest
from kindred.jobs.dead_letters import people_of
from kindred.jobs.folder import LOCK
from kindred.jobs.lake_records import LakeLog
from kindred.ports.catalog import ProfileStore
from kindred.ports.log import EventLog, all_partitions
from kindred.ports.state import StateKey, StateRecord, StateStore, StateWrite
from kindred.training.controls import Controls

_AT_ONCE = 1_000
# Of a data folder, what says nothing about its content: a folder with these alone counts as empty.
_EMPTY = ("kindred.toml", "leases", "kindred-errors.txt", LOCK)


@runtime_checkable
class Renewable(Protocol):
    """A log that can begin a new epoch, as after a restore."""

    async def begin_epoch(self) -> int:
        """Number what is appended from now on by a new epoch; return its number."""
        ...


class PeopleStores(Protocol):
    """Where people are known, and asked to be forgotten."""

    @property
    def log(self) -> EventLog:
        """Return the event log."""
        ...

    @property
    def state(self) -> StateStore:
        """Return the folded state."""
        ...

    @property
    def profiles(self) -> ProfileStore:
        """Return the users' profiles."""
        ...

    @property
    def lake(self) -> Path:
        """Return the lake's folder."""
        ...


@dataclass(slots=True)
class Forgotten:
    """Who asked to be forgotten, as far as a data folder knows: hash → position; `names` where it still has them.

    `epoch`: the highest that any of its records has.
    """

    people: dict[str, Position] = field(default_factory=dict)
    names: dict[str, Position] = field(default_factory=dict)
    epoch: int = 0

    def add(self, digest: str, position: Position) -> None:
        """Take over one; the last request counts."""
        self.people[digest] = max(position, self.people.get(digest, position))

    def add_name(self, user_id: str, position: Position) -> None:
        """Take over one whose name is known."""
        self.add(erased_key(user_id).key, position)
        self.names[user_id] = self.people[erased_key(user_id).key]


@dataclass(slots=True)
class RestoreReport:
    """What a restore did: files put back, the log's new epoch, people who are forgotten again."""

    files: int = 0
    epoch: int | None = None
    forgotten: int = 0
    positions: list[str] = field(default_factory=list)


async def forgotten_in(stores: PeopleStores) -> Forgotten:
    """Gather who asked to be forgotten: from state, log and lake, with the names they had before a merge."""
    found = Forgotten(epoch=max((end.epoch for end in await stores.log.ends()), default=0))
    async for digest, record in stores.state.scan(ERASED):
        found.add(digest, read_erasure_mark(record.value)[0])
    controls = Controls()
    lake = LakeLog(stores.log, stores.lake)
    for write in lake.forgotten():
        found.add(write.key.key, write.record.position)
    async for position, event in _events(stores.log):
        if isinstance(event, ProfileErased):
            controls.erase(event.user_id, (position, event.ingested_at), event.follows)
        elif isinstance(event, Merged):
            controls.merged.setdefault(event.user_id, (event.into, (position, event.ingested_at)))
    for user_id, (position, _) in controls.forgotten.items():
        found.add_name(user_id, position)
    return found


async def _events(log: EventLog) -> AsyncIterator[tuple[Position, Event]]:
    """Go through what a log holds and can be read, partition by partition."""
    for partition in await all_partitions(log):
        after = Position(0, partition, -1)
        while records := await log.read(after, _AT_ONCE):
            for record in records:
                try:
                    yield record.position, decode_event(record.data)
                except InvalidInput:
                    continue
            after = records[-1].position


def check_place(manifest: BackupManifest, home: Path, urls: Mapping[str, str], force: bool) -> None:
    """Raise ConfigError where the settings name other stores, Conflict where the folder is in use and not `force`."""
    other = [port for port, url in manifest.stores.items() if urls.get(port) != url]
    if other:
        wanted = ", ".join(f"stores.{port} = {manifest.stores[port]!r}" for port in other)
        raise ConfigError(f"the backup was made with {wanted}: set that for this data folder, then restore")
    if not force and home.is_dir():
        found = sorted(path.name for path in home.iterdir() if path.name not in _EMPTY)
        if found:
            raise Conflict(f"{home} holds {found[0]} already: --force replaces what stands there")


async def begin_again(
    stores: PeopleStores, newer: Forgotten | None, report: RestoreReport, clock: Clock | None = None
) -> None:
    """Begin a new epoch of the log, and forget again whom a newer data folder knows to be forgotten.

    Their marks stand in the state at once, so that nothing older of them is ever folded; their requests are appended to
    the log, by which history and profile, and the lake's rows at the next compaction, go too.
    """
    now = (clock or SystemClock()).now()
    log, state = stores.log, stores.state
    people = await _since(state, newer) if newer is not None else {}
    names = await _named(stores, people, newer) if newer is not None else []
    if isinstance(log, Renewable):
        report.epoch = await log.begin_epoch()
        while newer is not None and report.epoch <= newer.epoch:
            report.epoch = await log.begin_epoch()
    watermark = await state.watermark()
    marks = [
        StateWrite(StateKey(ERASED, digest), StateRecord(place, erasure_mark(place, now)))
        for digest, place in people.items()
    ]
    marks += [StateWrite(user_key(name), StateRecord(people[erased_key(name).key], b"")) for name in names]
    for first in range(0, len(marks), _AT_ONCE):
        await state.write(marks[first : first + _AT_ONCE], watermark)
    events = [ProfileErased(event_id=new_id("evt"), timestamp=now, ingested_at=now, user_id=name) for name in names]
    if events:
        placed = await log.append([(partition_key(event), encode_event(event)) for event in events])
        report.positions = [str(place) for place in placed]
    report.forgotten = len(people)


async def _since(state: StateStore, newer: Forgotten) -> dict[str, Position]:
    """Return who is forgotten at a later position than the restored state knows."""
    digests = list(newer.people)
    found: dict[str, Position] = {}
    for first in range(0, len(digests), _AT_ONCE):
        part = digests[first : first + _AT_ONCE]
        view = await state.read([StateKey(ERASED, digest) for digest in part])
        for digest, record in zip(part, view.records, strict=True):
            if record is None or record.position < newer.people[digest]:
                found[digest] = newer.people[digest]
    return found


async def _named(stores: PeopleStores, people: Mapping[str, Position], newer: Forgotten) -> list[str]:
    """Return the names of people: those that the newer folder has, and whoever of the restored one has such a hash."""
    names = {name for name in newer.names if erased_key(name).key in people}
    async for user_id, _ in stores.state.scan(USER):
        if erased_key(user_id).key in people:
            names.add(user_id)
    after = ""
    while page := await stores.profiles.page(after, _AT_ONCE):
        names.update(profile.user_id for profile in page if erased_key(profile.user_id).key in people)
        after = page[-1].user_id
    checked: set[str] = set()
    async for _, event in _events(stores.log):
        for name in people_of(event):
            if name not in checked:
                checked.add(name)
                if erased_key(name).key in people:
                    names.add(name)
    return sorted(names)
