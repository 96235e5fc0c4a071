"""The fold of users: pure, one event at a time in effect, the same for any cut into batches."""

import math
from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import msgspec
import numpy as np

from kindred.core.position import Position
from kindred.features.changes import (
    Act,
    Erasure,
    Forgetting,
    Handing,
    Handoff,
    ItemAct,
    MergeInto,
    Outgoing,
    PlacementCredit,
    ProfileChange,
    Rekeyed,
    Removal,
    Shown,
    UserChange,
)
from kindred.features.counters import Amounts, add_up
from kindred.features.deeds import DeedList
from kindred.features.groups import FoldConfig
from kindred.features.user_counters import NO_DEVICE, USER_COUNTERS, device_bucket, user_amounts
from kindred.features.user_folding import Draft
from kindred.features.users import MOST_MERGES, UserRecord, decode_user, encode_user, merge_user


class Person(NamedTuple):
    """A user whose record stands at `folded` (None: nothing known), with changes in order of position.

    `forgotten`: arrival (ms) of the erasure that left no record, 0 = none.
    """

    user_id: str
    record: UserRecord | None
    folded: Position
    changes: Sequence[UserChange]
    forgotten: int = 0


class UserFold(msgspec.Struct, gc=False):
    """What a fold made of a user's changes.

    `position` is that of the last change that took effect, or None when none did. `forward`: acts that items must
    count (their own sources leave out what they hold already). `stored`: acts that history must hold. `duplicates`
    and `late` are counts; `erased` is the position of an erasure, so that older history goes, `forgotten` the arrival
    (ms) of the last one there was, 0 = none. `removed`: items that left the history; `absorbed`: (position, user) whose
    history is this user's now. `refused`: positions of merges that came after another one. `outgoing`: what goes to the
    log again; `credits`: what placements gained.
    """

    record: UserRecord | None
    position: Position | None = None
    forward: list[ItemAct] = []
    stored: list[Act] = []
    duplicates: int = 0
    late: int = 0
    erased: Position | None = None
    forgotten: int = 0
    removed: list[Removal] = []
    absorbed: list[tuple[Position, str]] = []
    refused: list[Position] = []
    outgoing: list[Outgoing] = []
    credits: list[PlacementCredit] = []


class _Batch:
    """The events of many users, to be counted as columns."""

    def __init__(self, config: FoldConfig) -> None:
        self.config = config
        self._deeds = DeedList()
        self._devices: list[int] = []

    def add(self, owner: int, act: Act) -> None:
        """Note an act."""
        self._deeds.add(owner, act.event_type, act.timestamp, act.value, act.watch)
        self._devices.append(device_bucket(act.device, self.config))

    def add_shown(self, owner: int, shown: Shown) -> None:
        """Note that something was shown."""
        self._deeds.add(owner, shown.event_type, shown.timestamp, math.nan, math.nan)
        self._devices.append(NO_DEVICE)

    def take(self, owner: int, counters: bytes) -> bytes:
        """Take an owner's events out of the batch and return `counters` with them."""
        mine = [row[0] == owner for row in self._deeds.rows]
        if not any(mine):
            return counters
        others = [not each for each in mine]
        taken = _Batch(self.config)
        taken._deeds.rows = [(0, *row[1:]) for row in compress(self._deeds.rows, mine)]
        taken._devices = list(compress(self._devices, mine))
        self._deeds.rows = list(compress(self._deeds.rows, others))
        self._devices = list(compress(self._devices, others))
        return taken.counted([counters])[0]

    def counted(self, counters: Sequence[bytes], parts: Sequence[Amounts] = ()) -> list[bytes]:
        """Return each owner's counters with their events and `parts`."""
        if not self._devices and not parts:
            return list(counters)
        devices = np.array(self._devices, np.int64)
        added = Amounts.join([user_amounts(self._deeds.columns(), devices, self.config), *parts])
        return add_up(counters, added, USER_COUNTERS.keep)


class _Folding:
    """One user while changes are being folded into their record."""

    __slots__ = ("_handed", "batch", "config", "counters", "draft", "known", "made", "owner", "person")

    def __init__(self, owner: int, person: Person, batch: _Batch) -> None:
        self.owner, self.person, self.batch, self.config = owner, person, batch, batch.config
        self.draft = Draft(person.record or UserRecord(forgotten=person.forgotten), batch.config)
        self.known = person.record is not None
        self.counters = self.draft.before.counters
        self.made = UserFold(person.record)
        self._handed = 0

    def run(self) -> None:
        """Fold all changes."""
        for change in self.person.changes:
            # A record is written after everything that came of its changes, so a replay has nothing left to do.
            if change.position <= self.person.folded:
                continue
            if isinstance(change, Act):
                self._act(change)
            elif isinstance(change, Shown):
                self._shown(change)
            else:
                self._other(change)

    def _act(self, act: Act) -> None:
        """Fold one interaction, or recognise it as a duplicate."""
        draft, made, config, position = self.draft, self.made, self.config, act.position
        if act.arrival < draft.forgotten:
            return
        if draft.alias is not None:
            self._rekey(position)
            return
        if not draft.admit(act.event, position.offset, act.arrival):
            made.duplicates += 1
            return
        made.position, self.known = position, True
        made.stored.append(act)
        if act.late(config):
            made.late += 1
            return
        self.batch.add(self.owner, act)
        if act.timestamp >= 0:
            draft.session(act.timestamp)
        if act.item < 0:
            return
        extra = draft.outcome(act, made.credits)
        country = act.country or draft.country
        made.forward.append(
            ItemAct(position, act.item, act.event_type, act.timestamp, act.value, act.watch, False, country, extra)
        )
        if act.event_type not in config.passing:
            draft.row(act)

    def _shown(self, shown: Shown) -> None:
        """Fold what was shown."""
        draft, made, position = self.draft, self.made, shown.position
        if shown.arrival < draft.forgotten:
            return
        if draft.alias is not None:
            self._rekey(position)
            return
        if shown.client and not draft.admit(shown.event, position.offset, shown.arrival):
            made.duplicates += 1
            return
        made.position, self.known = position, True
        if shown.late(self.config):
            made.late += 1
            return
        if shown.client:
            self.batch.add_shown(self.owner, shown)
        made.forward += draft.shown(shown, made.credits)

    def _other(self, change: ProfileChange | Erasure | Removal | MergeInto | Handoff) -> None:
        """Fold what changes a person and not their history."""
        if isinstance(change, Erasure):
            self._erase(change)
            return
        if isinstance(change, Handoff) and self._came_too_late(change):
            return
        self.made.position, self.known = change.position, True
        draft = self.draft
        match change:
            case MergeInto():
                self._seal(change)
            case Handoff() if draft.alias is not None and not self._comes_back(change):
                self._rekey(change.position)
            case Removal() | ProfileChange() if draft.alias is not None:
                self._rekey(change.position)
            case ProfileChange():
                draft.profile = change.profile
            case Removal():
                self.made.removed.append(change)
                draft.remove(change)
            case Handoff():
                self._absorb(change)

    def _comes_back(self, change: Handoff) -> bool:
        """Unseal a user to whom a circle of merges leads back, or the records would go round for ever; say whether.

        Two merges into one another may both be accepted before either is folded: the first by name stays.
        """
        user, alias = self.person.user_id, self.draft.alias
        if change.source != user and not (alias == change.source and user < change.source):
            return False
        self.draft.alias = self.draft.sealed = None
        return True

    def _rekey(self, position: Position) -> None:
        """Send an event on to whom this user turned out to be."""
        if self.draft.alias is not None:
            self.made.position = position
            self.made.outgoing.append(Rekeyed(position, self.draft.alias))

    def _came_too_late(self, handoff: Handoff) -> bool:
        """Say whether a record was on its way to someone who asked to be forgotten meanwhile: it is forgotten too."""
        if not self.draft.forgotten or handoff.arrival > self.draft.forgotten:
            return False
        self.made.outgoing.append(Forgetting(handoff.position, handoff.source, self.draft.forgotten))
        return True

    def _erase(self, change: Erasure) -> None:
        """Forget everything up to here; what was handed over before belongs to another by now."""
        # What follows from another's erasure may be told twice after a crash.
        if change.follows and change.arrival <= self.draft.forgotten:
            return
        self.made.position = self.made.erased = change.position
        self.batch.take(self.owner, b"")
        self.made.outgoing += [Forgetting(change.position, alias, change.arrival) for alias in self.draft.aliases]
        forgotten = max(change.arrival, self.draft.forgotten)
        self.draft, self.counters, self.known = Draft(UserRecord(forgotten=forgotten), self.config), b"", False
        del self.made.stored[self._handed :]
        self.made.removed, self.made.absorbed = [], []

    def _seal(self, change: MergeInto) -> None:
        """Hand the record over and keep only whose it is now."""
        if self.draft.alias is not None or change.into == self.person.user_id:
            if change.into != self.draft.alias:
                self.made.refused.append(change.position)
            return
        counters = self.batch.take(self.owner, self.counters)
        record = self.draft.record(counters)
        self.made.outgoing.append(Handing(change.position, change.merge_id, change.into, encode_user(record)))
        sealed = UserRecord(alias=change.into, sealed=change.position, forgotten=self.draft.forgotten)
        self.draft, self.counters, self._handed = Draft(sealed, self.config), b"", len(self.made.stored)

    def _absorb(self, change: Handoff) -> None:
        """Take an anonymous user's record over, once."""
        if change.merge_id in self.draft.merged:
            return
        brought = decode_user(change.record)
        theirs = brought or UserRecord()
        merged = list(dict.fromkeys([*self.draft.merged, *theirs.merged, change.merge_id]))[-MOST_MERGES:]
        aliases = list(dict.fromkeys([*self.draft.aliases, *theirs.aliases, change.source]))
        if brought is not None:
            standing = self.draft.record(self.batch.take(self.owner, self.counters))
            # What the known user says of themselves stands over what was known of the anonymous one.
            profile = brought.profile
            if profile is not None and standing.profile is not None:
                profile = standing.profile.with_choices_of(profile)
            elif profile is not None:
                profile = msgspec.structs.replace(profile, user_id=self.person.user_id)
            brought = msgspec.structs.replace(brought, profile=profile)
            joined = merge_user(standing, brought, self.config)
            self.draft, self.counters = Draft(joined, self.config), joined.counters
        self.draft.merged, self.draft.aliases = merged, aliases
        self.made.absorbed.append((change.position, change.source))

    def finished(self, counters: bytes) -> UserFold:
        """Return what became of the user."""
        self.made.forgotten = self.draft.forgotten
        if self.made.position is not None:
            self.made.record = self.draft.record(counters, rolled=False) if self.known else None
        return self.made


def fold_users(people: Sequence[Person], config: FoldConfig) -> list[UserFold]:
    """Fold each user's changes into their record; the counters of all of them are folded as columns.

    What stands at or before `folded` is a replay: it changes nothing and is not forwarded again, since a user's record
    is written only after the items were told. The same event id at another position is a duplicate: the first payload
    wins, and it is neither folded nor forwarded.
    """
    batch = _Batch(config)
    foldings = [_Folding(owner, person, batch) for owner, person in enumerate(people)]
    for folding in foldings:
        folding.run()
    parts = [folding.draft.rolled(folding.owner) for folding in foldings if folding.draft.rolled_count]
    counters = batch.counted([folding.counters for folding in foldings], parts)
    return [folding.finished(data) for folding, data in zip(foldings, counters, strict=True)]


def fold_user(
    user_id: str, record: UserRecord | None, folded: Position, changes: Sequence[UserChange], config: FoldConfig
) -> UserFold:
    """Fold one user's changes."""
    return fold_users([Person(user_id, record, folded, changes)], config)[0]
