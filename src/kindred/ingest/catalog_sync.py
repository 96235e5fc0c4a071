"""A whole catalogue at once: what a full list of items would change, and the events that change it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import chain, islice

import msgspec

from kindred.core.errors import Conflict, Fault, InvalidInput
from kindred.core.event import ItemSwitchedOff, ItemUpserted
from kindred.core.ids import new_id
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.ports.catalog import CatalogStore

MOST_REMOVED = 0.2
"""The share of the active items that a list may leave out before it has to be forced."""
_AT_ONCE = 1_000
_MOST_FAULTS = 100


class SyncPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a full list would do: items to write (`added`, `changed`), and ids of those to switch off (`removed`)."""

    added: list[Item]
    changed: list[Item]
    removed: list[str]
    unchanged: int
    active: int

    @property
    def removed_share(self) -> float:
        """Return which share of the items that are active now would be switched off."""
        return len(self.removed) / self.active if self.active else 0.0

    def check(self, force: bool) -> None:
        """Raise Conflict where more than a fifth of the active items would be switched off, unless `force`."""
        if self.removed_share > MOST_REMOVED and not force:
            left_out = f"{len(self.removed):,} of {self.active:,} active items ({self.removed_share:.0%})"
            raise Conflict(
                f"the list leaves out {left_out}, more than {MOST_REMOVED:.0%}: "
                "send the whole catalogue, or force it; nothing was changed"
            )

    def events(self, now: int) -> Iterator[ItemUpserted | ItemSwitchedOff]:
        """Return the events that carry it out, `now` in ms; what is switched off stays as it is by then."""
        for item in chain(self.added, self.changed):
            yield ItemUpserted(event_id=new_id("evt"), timestamp=now, ingested_at=now, item=item)
        for item_id in self.removed:
            yield ItemSwitchedOff(event_id=new_id("evt"), timestamp=now, ingested_at=now, item_id=item_id)


async def plan_sync(catalog: CatalogStore, items: Sequence[Item]) -> SyncPlan:
    """Compare a full list with the catalogue, which is read in order of id; raise InvalidInput for an id given twice.

    An item that the list leaves out stays known, is recommended no more, and comes back with the next list that has it.
    """
    wanted = _by_id(items)
    added, changed, unchanged, active = dict(wanted), [], 0, 0
    removed: list[str] = []
    after = ""
    while page := await catalog.page(after, _AT_ONCE):
        after = page[-1].item.item_id
        for known in page:
            active += known.item.active
            item = added.pop(known.item.item_id, None)
            if item is None:
                removed += [known.item.item_id] if known.item.active else []
            elif item == known.item:
                unchanged += 1
            else:
                changed.append(item)
    return SyncPlan(added=list(added.values()), changed=changed, removed=removed, unchanged=unchanged, active=active)


async def apply_sync(
    plan: SyncPlan,
    record: Callable[[Sequence[ItemUpserted | ItemSwitchedOff]], Awaitable[Sequence[Position]]],
    now: int,
) -> list[Position]:
    """Record a plan's events durably, new and changed items first, and return the last position of each partition.

    Raises what `record` raises: what was recorded until then stands, and the same list again does the rest.
    """
    events = plan.events(now)
    last: dict[int, Position] = {}
    while some := list(islice(events, _AT_ONCE)):
        for position in await record(some):
            last[position.partition] = max(position, last.get(position.partition, position))
    return list(last.values())


def _by_id(items: Sequence[Item]) -> Mapping[str, Item]:
    if not items:
        raise InvalidInput.at("/items", "has no item: a full list has all of them")
    found: dict[str, Item] = {}
    faults: list[Fault] = []
    for place, item in enumerate(items):
        if item.item_id in found and len(faults) < _MOST_FAULTS:
            faults.append(Fault(f"/items/{place}/item_id", f"{item.item_id!r} is given twice"))
        found[item.item_id] = item
    if faults:
        raise InvalidInput(faults=faults)
    return found
