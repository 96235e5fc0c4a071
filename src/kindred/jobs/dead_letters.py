"""Dead letters: what they are, and giving them another chance at the end of the log, but for forgotten people's."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kindred.core.errors import Conflict, InvalidInput
from kindred.core.event import (
    Anonymous,
    Event,
    HandedOver,
    Imported,
    ItemDeleted,
    ItemSwitchedOff,
    ItemUpserted,
    Merged,
    ProfileUpdated,
    decode_event,
    partition_key,
)
from kindred.core.position import Position
from kindred.features.groups import erased_key, read_erasure_mark, user_key
from kindred.features.users import decode_user
from kindred.ingest.folding import IngestStores
from kindred.ingest.forwarding import ITEM_SIDE
from kindred.ingest.plan import check_event
from kindred.ports.log import DeadLetter, DeadLetters

_AT_ONCE = 200
# Merges flatten, so one step is the rule.
_MOST_ALIASES = 10


class Kept(NamedTuple):
    """A letter that was not replayed, and why."""

    position: Position
    reason: str


@dataclass(slots=True)
class ReplayReport:
    """What a replay did: letters appended again, letters of forgotten people dropped, and letters that stay."""

    replayed: int = 0
    erased: int = 0
    kept: list[Kept] = field(default_factory=list)


async def all_letters(letters: DeadLetters) -> AsyncIterator[DeadLetter]:
    """Go through all letters in order of position."""
    after: Position | None = None
    while page := await letters.letters(after, _AT_ONCE):
        for letter in page:
            yield letter
        after = page[-1].position


async def chosen_letters(letters: DeadLetters, positions: Sequence[Position]) -> list[DeadLetter]:
    """Return the letters of these positions, without any all; raise InvalidInput for one that is not there."""
    wanted = set(positions)
    found = [letter async for letter in all_letters(letters) if not wanted or letter.position in wanted]
    missing = sorted(wanted - {letter.position for letter in found})
    if missing:
        raise InvalidInput(
            f"there is no dead letter {', '.join(map(str, missing))}: `kindred events dead-letters list`"
        )
    return found


async def replay_letters(stores: IngestStores, positions: Sequence[Position] = ()) -> ReplayReport:
    """Append letters to the log again, byte for byte, and discard them; all of them where no positions are given.

    One that would be buried again stays. Those of people who were forgotten after it are dropped for ever, hence the
    fold must have come to the log's end: raises Conflict where it has not. A crash between the two steps appends a
    letter twice, which its event id makes count once. Raises InvalidInput for a position without a letter.
    """
    await _check_folded(stores)
    report = ReplayReport()
    for letter in await chosen_letters(stores.dead_letters, positions):
        try:
            event = await _replayable(letter, stores)
        except InvalidInput as error:
            report.kept.append(Kept(letter.position, error.detail))
            continue
        if await _forgotten(people_of(event), letter.position, stores):
            report.erased += 1
        else:
            await stores.log.append([(partition_key(event), letter.data)])
            report.replayed += 1
        await stores.dead_letters.discard([letter.position])
    return report


async def _check_folded(stores: IngestStores) -> None:
    """Raise Conflict while an erasure may wait in the log that the state does not know of yet."""
    for end in await stores.log.ends():
        if end.offset >= 0 and await stores.state.watermark(end.partition) < end:
            raise Conflict("the log is not folded to its end, so who was forgotten is not known: let a consumer run")


async def _replayable(letter: DeadLetter, stores: IngestStores) -> Event:
    """Return the event of a letter; raise InvalidInput saying why it cannot be replayed."""
    if letter.position.partition >= ITEM_SIDE:
        raise InvalidInput("it comes from the items' log, where later acts of the same users are counted already")
    event = decode_event(letter.data)
    check_event(event)
    match event:
        case Imported():
            raise InvalidInput("it marks an import, of which parts may be folded: run the import again")
        case Merged():
            (record,) = (await stores.state.read([user_key(event.user_id)])).records
            known = decode_user(record.value) if record is not None else None
            if known is not None and known.alias is not None:
                raise InvalidInput(f"the user was merged into {known.alias!r} before, and has one target")
        case ItemUpserted() | ItemDeleted() | ItemSwitchedOff():
            item_id = event.item.item_id if isinstance(event, ItemUpserted) else event.item_id
            (found,) = await stores.catalog.get([item_id])
            if found is not None and found.listed and found.updated > event.ingested_at:
                raise InvalidInput("the item was changed since: discard the letter, or change the item again")
    return event


def people_of(event: Event) -> list[str]:
    """Return everyone whom an event tells something about."""
    match event:
        case Merged():
            return [event.user_id, event.into]
        case HandedOver():
            return [event.user_id, event.source]
        case ProfileUpdated():
            return [event.profile.user_id]
        case ItemUpserted() | ItemDeleted() | ItemSwitchedOff() | Imported() | Anonymous():
            return []
        case _:
            return [event.user_id]


async def _forgotten(people: Sequence[str], position: Position, stores: IngestStores) -> bool:
    """Say whether anyone of people was forgotten at `position` or later, under this name or the one they took since.

    What came of an anonymous user's record in another partition of an epoch cannot be ordered: forgotten is forgotten
    there.
    """
    waiting = list(people)
    seen: set[str] = set()
    while waiting and len(seen) < _MOST_ALIASES:
        user = waiting.pop()
        if user in seen:
            continue
        seen.add(user)
        partition = stores.log.partition_of(user)
        mark, record = (await stores.state.read([erased_key(user), user_key(user)], partition)).records
        if mark is not None:
            erased, _ = read_erasure_mark(mark.value)
            same = erased.epoch == position.epoch
            if position <= erased or (same and erased.partition != position.partition):
                return True
        known = decode_user(record.value) if record is not None else None
        if known is not None and known.alias is not None:
            waiting.append(known.alias)
    return False
