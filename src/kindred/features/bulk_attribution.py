"""Which exposures imported outcomes are put down to: the ledgers that live folding keeps, run over columns."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Mask
from kindred.core.position import START, Position
from kindred.features.attribution import horizon
from kindred.features.changes import Act, PlacementCredit, Shown
from kindred.features.circumstances import Circumstances
from kindred.features.counters import Integers
from kindred.features.deeds import of_types
from kindred.features.groups import FoldConfig
from kindred.features.history import HistoryRows
from kindred.features.user_folding import Draft
from kindred.features.users import UserRecord


class Attribution(NamedTuple):
    """What came of n rows: `drafts` of users with exposures or outcomes, by their number, the rows `exposed (n,)`.

    `entries` are what items gain besides, by ordinal; `credits` what placements do.
    """

    drafts: dict[int, Draft]
    exposed: Mask
    entries: list[tuple[int, bytes]]
    credits: list[PlacementCredit]


def attribute(
    rows: HistoryRows,
    owners: Integers,
    told: Circumstances,
    config: FoldConfig,
    position: Position = START,
) -> Attribution:
    """Put outcomes down to exposures; `owners (n,)` number the users, `position` is that of the import's marker.

    Each row arrived when it happened; rows of unknown time are neither. An exposure is a row of its own.
    """
    shown = of_types(rows.names, rows.codes, config.impressions)
    drafts: dict[int, Draft] = {}
    exposed = shown & (rows.timestamps < 0)
    entries: list[tuple[int, bytes]] = []
    credits: list[PlacementCredit] = []
    for place in _in_order(rows, owners, told, shown, config).tolist():
        owner, item, time = int(owners[place]), int(rows.items[place]), int(rows.timestamps[place])
        draft = drafts[owner] = drafts.get(owner) or Draft(UserRecord(), config)
        kind, request = rows.names[rows.codes[place]], int(told.requests[place])
        if shown[place]:
            placement = config.placement(told.placements.names[told.placements.codes[place]])
            change = Shown(position, 0, time, time, (item,), request, placement, int(told.slots[place]))
            for told_of in draft.shown(change, credits):
                exposed[place] = told_of.exposed
                entries.append((item, told_of.extra))
        else:
            watch = float(told.watches[place])
            outcome = Act(position, 0, time, item, kind, time, np.nan, watch, request)
            entries.append((item, draft.outcome(outcome, credits)))
    return Attribution(drafts, exposed, [each for each in entries if each[1]], credits)


def _in_order(
    rows: HistoryRows, owners: Integers, told: Circumstances, shown: Mask, config: FoldConfig
) -> NDArray[np.intp]:
    """Return the places of exposures and of outcomes that matter, by user and time."""
    outcome = of_types(rows.names, rows.codes, (*config.clicks, *config.conversions)) | ~np.isnan(told.watches)
    places = np.flatnonzero((outcome | shown) & (rows.timestamps >= 0))
    if not len(places):
        return places
    places = places[np.lexsort((rows.timestamps[places], owners[places]))]
    size = int(owners.max()) + 1
    newest, exposing = np.full(size, -1, np.int64), np.zeros(size, np.bool_)
    np.maximum.at(newest, owners[places], rows.timestamps[places])
    exposing[owners[places[shown[places]]]] = True
    # Where nothing was shown, outcomes are only kept for what may still be told, and old ones are forgotten again.
    whose = owners[places]
    return places[exposing[whose] | (rows.timestamps[places] >= newest[whose] - horizon(config))]
