"""Against filter bubbles: how evenly a user's exposures are spread over categories, and what follows from it."""

from kindred.core.query import Query
from kindred.features.users import UserRecord
from kindred.features.values.shown import exposure_entropy
from kindred.recommend.world import World


def spread_of(world: World, query: Query) -> float | None:
    """Return how evenly what the user was shown in the last day is spread, 0 to 1; None where too little is known."""
    record: UserRecord | None = query.scratch.get("record")
    if record is None or not record.exposures:
        return None
    return exposure_entropy(record, query.context.time, world.table.primary, world.table.primaries)


def raised(diversity: float, spread: float | None, least: float) -> float:
    """Return the diversity of a slate: raised towards 1 by as much as `spread` lies below `least`."""
    if spread is None or spread >= least:
        return diversity
    return diversity + (1 - diversity) * (1 - spread / least)
