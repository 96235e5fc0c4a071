"""Acts of users on items, ready to be counted: those that a record holds already left out, the others as columns."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kindred.features.changes import ItemAct
from kindred.features.deeds import DeedList, Deeds

Sources = dict[int, tuple[int, int]]
"""By partition of the users' log, the (epoch, offset) of the last event that a record counts."""


class Sourced(Protocol):
    """A record that says what it counts already."""

    @property
    def sources(self) -> Sources:
        """Return the last event of each partition."""
        ...


Record = TypeVar("Record", bound=Sourced)


class Touched(NamedTuple, Generic[Record]):
    """A record and what happened to its item, from any users."""

    record: Record
    acts: Sequence[ItemAct]


class Fresh(NamedTuple, Generic[Record]):
    """What is new to n records: the k that it changes with their places in (0, n) and new sources; the events.

    `deeds` are of owners 0 to k - 1, `exposed` says which of them are exposures, `entries` are to be added besides, to
    the records that `entry_owners` says.
    """

    places: list[int]
    records: list[Record]
    sources: list[Sources]
    deeds: Deeds
    exposed: NDArray[np.bool_]
    entries: list[bytes]
    entry_owners: NDArray[np.int64]


_by_source = attrgetter("source")


def fresh_acts(touched: Sequence[Touched[Record]]) -> Fresh[Record]:
    """Leave out what records count already.

    Of each partition of the users' log, acts must come in order of their source from one call to the next: a record
    keeps the highest source it holds, so a repeat changes nothing.
    """
    rows: list[tuple[int, str, int, float, float]] = []
    exposed: list[bool] = []
    places: list[int] = []
    reached: list[Sources] = []
    entries: list[bytes] = []
    entry_owners: list[int] = []
    for place, (record, acts) in enumerate(touched):
        fresh, sources = _fresh(record.sources, acts)
        if not fresh:
            continue
        owner = len(places)
        places.append(place)
        reached.append(sources)
        for act in fresh:
            if act.event_type or act.exposed:
                rows.append((owner, act.event_type, act.timestamp, act.value, act.watch))
                exposed.append(act.exposed)
            if act.extra:
                entries.append(act.extra)
                entry_owners.append(owner)
    return Fresh(
        places,
        [touched[place].record for place in places],
        reached,
        DeedList(rows).columns(),
        np.array(exposed, np.bool_),
        entries,
        np.array(entry_owners, np.int64),
    )


def _fresh(sources: Sources, acts: Sequence[ItemAct]) -> tuple[Sequence[ItemAct], Sources]:
    """Return the acts that are not counted yet, and the sources with them."""
    ordered = acts if len(acts) == 1 else sorted(acts, key=_by_source)
    found, known = [], dict(sources)
    for act in ordered:
        epoch, partition, offset = act.source
        last = known.get(partition)
        if last is None or (epoch, offset) > last:
            known[partition] = (epoch, offset)
            found.append(act)
    return found, known
