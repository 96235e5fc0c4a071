"""What a batch does to the history of interactions: rows of acts, erasures, removals, handovers; safe to do twice."""

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from typing import TypeAlias

import xxhash

from kindred.core.position import Position
from kindred.features.changes import Act, Handing, Handoff, Rekeyed, Removal
from kindred.features.groups import FoldConfig
from kindred.features.user_fold import Person, UserFold
from kindred.ports.interactions import InteractionRow, InteractionStore

# Behind every position: rows that waited for a handover are no one's once it took place.
_FOR_EVER = Position(1 << 62, 0, 0)
_MOST_ABSORBED = 1_000_000
_ROWS_AT_ONCE = 2_000

_Step: TypeAlias = tuple[Position, str, Removal | Handoff | Handing | None]


async def write_history(
    folds: Sequence[tuple[Person, UserFold]],
    event_ids: Mapping[Position, str],
    end: Position,
    history: InteractionStore,
    config: FoldConfig,
) -> None:
    """Forget, hand over and remove in order of position, then add the acts that outlived all of that.

    A user's rows on their way to another wait under a name of their own: what the user does after the merge is not
    among them, whenever the other's partition is folded. `event_ids` by position: they make the ids of rows.
    """
    for person, fold in folds:
        for step in _steps(person, fold):
            await _take(step, person.user_id, fold, event_ids, history, config)
    rows = [
        _row(act, person.user_id, event_ids[act.position])
        for person, fold in folds
        if fold.stored
        for act in _outliving(fold, config)
        if _handing(act, fold) is None
    ]
    await _add(rows, end, history)


def _steps(person: Person, fold: UserFold) -> list[_Step]:
    """Return what takes rows away from a user or brings them, in order of position."""
    steps: list[_Step] = [(removal.position, "remove", removal) for removal in fold.removed]
    if fold.erased is not None:
        steps.append((fold.erased, "erase", None))
    steps += [(out.position, "hand", out) for out in fold.outgoing if isinstance(out, Handing)]
    # Rows of a record that is passed on wait for whom it goes to.
    passed = {out.position for out in fold.outgoing if isinstance(out, Rekeyed)}
    for change in person.changes:
        # What stands at or before the record's position was taken at its time: the source may have new rows since.
        if isinstance(change, Handoff) and change.position > person.folded and change.position not in passed:
            counts = (change.position, change.source) in fold.absorbed
            steps.append((change.position, "absorb" if counts else "drop", change))
    return sorted(steps, key=lambda step: step[0]) if len(steps) > 1 else steps


async def _take(
    step: _Step,
    user_id: str,
    fold: UserFold,
    event_ids: Mapping[Position, str],
    history: InteractionStore,
    config: FoldConfig,
) -> None:
    match step:
        case (_, "erase", _):
            await history.forget(user_id, step[0])
        case (position, "remove", Removal() as removal):
            await history.remove(user_id, removal.item, position, config.reactions if removal.reactions else None)
        case (position, "absorb", Handoff() as handoff):
            if fold.erased is None or fold.erased < position:
                await _copy(_held(handoff.merge_id), user_id, position, history)
            await history.forget(_held(handoff.merge_id), _FOR_EVER)
        case (position, "hand", Handing() as handing):
            # After a crash the rows of what followed may be there already.
            later = {row_id(event_ids[act.position], act) for act in fold.stored if act.position > position}
            await _copy(user_id, _held(handing.merge_id), position, history, later)
            # Nothing of before is added once this user's rows are forgotten, so those of this batch go first.
            await _add(_waiting(handing, user_id, fold, event_ids, config), position, history)
            await history.forget(user_id, position)
        case (_, _, Handoff() as handoff):
            # Handed over before: rows that a replay of the source's batch wrote again are no one's.
            await history.forget(_held(handoff.merge_id), _FOR_EVER)


def _held(merge_id: str) -> str:
    """Return the name under which rows wait to be handed over."""
    return f"merge:{xxhash.xxh3_128_hexdigest(merge_id.encode())}"


def _handing(act: Act, fold: UserFold) -> Handing | None:
    """Return with what an act's row is handed over, None where it stays."""
    return next((out for out in fold.outgoing if isinstance(out, Handing) and act.position < out.position), None)


def _waiting(
    handing: Handing, user_id: str, fold: UserFold, event_ids: Mapping[Position, str], config: FoldConfig
) -> list[InteractionRow]:
    """Return the rows of a batch's acts that are handed over."""
    held = _held(handing.merge_id)
    rows = [
        _row(act, user_id, event_ids[act.position])
        for act in _outliving(fold, config)
        if _handing(act, fold) is handing
    ]
    return [row._replace(row_id=_copied(row.row_id, held), user_id=held) for row in rows]


def _row(act: Act, user_id: str, event_id: str) -> InteractionRow:
    return InteractionRow(row_id(event_id, act), user_id, act.item, act.event_type, act.timestamp, act.value)


async def _copy(
    source: str, user_id: str, position: Position, history: InteractionStore, without: Container[bytes] = ()
) -> None:
    """Copy a user's rows to another user, under ids that make a second copy a no-op."""
    rows = [row for row in await history.by_user(source, _MOST_ABSORBED) if row.row_id not in without]
    copies = [row._replace(row_id=_copied(row.row_id, user_id), user_id=user_id) for row in rows]
    await _add(copies, position, history)


async def _add(rows: Sequence[InteractionRow], position: Position, history: InteractionStore) -> None:
    """Add rows some at a time, giving way to other work."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        await history.add(rows[start : start + _ROWS_AT_ONCE], position)
        await asyncio.sleep(0)


def _copied(name: bytes, user_id: str) -> bytes:
    """Return the id of a row's copy for another user."""
    return xxhash.xxh3_128_digest(name + user_id.encode())


def _outliving(fold: UserFold, config: FoldConfig) -> list[Act]:
    """Return the acts whose rows stay: those of an item, that no later step of the same batch takes away."""
    left = [act for act in fold.stored if act.item >= 0 and act.event_type not in config.passing]
    if fold.erased is not None:
        left = [act for act in left if act.position > fold.erased]
    for removal in fold.removed:
        taken = _removed_by(removal, config)
        left = [act for act in left if not taken(act)]
    return left


def _removed_by(removal: Removal, config: FoldConfig) -> Callable[[Act], bool]:
    return lambda act: (
        act.item == removal.item
        and act.position < removal.position
        and (not removal.reactions or act.event_type in config.reactions)
    )


def row_id(event_id: str, act: Act) -> bytes:
    """Return the 16 bytes that make adding an event to history twice a no-op."""
    epoch, partition, offset = act.position
    return xxhash.xxh3_128_digest(f"{event_id}\x1f{epoch}.{partition}.{offset}".encode())
