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
        _row(act, person, fold, event_ids[act.position])
        for person, fold in folds
        if fold.stored
        for act in _outliving(fold, config)
    ]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        await history.add(rows[start : start + _ROWS_AT_ONCE], end)
        await asyncio.sleep(0)


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
            await history.forget(user_id)
        case (_, "remove", Removal() as removal):
            await history.remove(user_id, removal.item, config.reactions if removal.reactions else None)
        case (position, "absorb", Handoff() as handoff):
            if fold.erased is None or fold.erased < position:
                await _copy(_held(handoff.merge_id), user_id, history)
            await history.forget(_held(handoff.merge_id))
        case (position, "hand", Handing() as handing):
            # After a crash the rows of what followed may be there already.
            later = {row_id(event_ids[act.position], act) for act in fold.stored if act.position > position}
            await _copy(user_id, _held(handing.merge_id), history, later)
            await history.forget(user_id)
        case (_, _, Handoff() as handoff):
            # Handed over before: rows that a replay of the source's batch wrote again are no one's.
            await history.forget(_held(handoff.merge_id))


def _held(merge_id: str) -> str:
    """Return the name under which rows wait to be handed over."""
    return f"merge:{xxhash.xxh3_128_hexdigest(merge_id.encode())}"


def _row(act: Act, person: Person, fold: UserFold, event_id: str) -> InteractionRow:
    """Return the row of an act: its user's, or one that waits to be handed over with the rest."""
    user_id, name = person.user_id, row_id(event_id, act)
    for out in fold.outgoing:
        if isinstance(out, Handing) and act.position < out.position:
            user_id = _held(out.merge_id)
            name = _copied(name, user_id)
            break
    return InteractionRow(name, user_id, act.item, act.event_type, act.timestamp, act.value)


async def _copy(source: str, user_id: str, history: InteractionStore, without: Container[bytes] = ()) -> None:
    """Copy a user's rows to another user, under ids that make a second copy a no-op."""
    rows = [row for row in await history.by_user(source, _MOST_ABSORBED) if row.row_id not in without]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        copies = [
            row._replace(row_id=_copied(row.row_id, user_id), user_id=user_id)
            for row in rows[start : start + _ROWS_AT_ONCE]
        ]
        await history.add(copies, Position(0, 0, -1))


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
