"""Features of a moment: as a request reads them from the store, and as training computes them from the log."""

from typing import Any

import numpy as np

from kindred.core.position import Position
from kindred.features.groups import ITEM, FoldConfig, user_key
from kindred.features.item_blocks import HEAD, read_heads
from kindred.features.offline import Arrival, Moment
from kindred.features.users import decode_user
from kindred.features.values.attributes import ItemAttributes
from kindred.features.values.slate import FeatureValues, all_values
from kindred.ingest.exposures import Exposures
from kindred.ingest.folding import IngestStores
from kindred.ingest.plan import plan
from kindred.ingest.user_changes import user_changes, wanted_items

ENTITIES = ("user", "item", "pair", "context")
_MANY = 10_000


async def served(stores: IngestStores, moment: Moment, catalogue: ItemAttributes) -> FeatureValues:
    """Return the features as the state holds them now."""
    (user,) = (await stores.state.read([user_key(moment.user_id)], stores.log.partition_of(moment.user_id))).records
    heads = await stores.state.heads(ITEM, [str(ordinal) for ordinal in moment.ordinals.tolist()], HEAD.itemsize)
    return all_values(
        decode_user(user.value) if user is not None else None,
        moment.ordinals,
        read_heads(heads),
        catalogue,
        moment.context,
        content=moment.content,
        collaborative=moment.collaborative,
    )


async def arrivals(stores: IngestStores) -> list[Arrival]:
    """Return the changes that the log holds, in order of arrival; what folding added arrived with what came before."""
    found: list[Arrival] = []
    for end in await stores.log.ends():
        exposures, latest = Exposures({}, ()), 0
        place = Position(0, end.partition, -1)
        while records := await stores.log.read(place, _MANY):
            made = plan(records)
            place = made.end
            known = await stores.catalog.resolve(names := list(dict.fromkeys(wanted_items(made.people))), 0)
            changes = user_changes(made.people, dict(zip(names, known, strict=True)), exposures, FoldConfig())
            times = {position: event.ingested_at for position, event in made.people}
            ordered = sorted(
                ((change, user) for user, of_user in changes.items() for change in of_user),
                key=lambda each: each[0].position,
            )
            for change, user in ordered:
                latest = max(latest, times[change.position])
                found.append(Arrival(latest, user, change))
    return sorted(found, key=lambda each: each.arrival)


def plain(values: FeatureValues) -> dict[str, Any]:
    """Return values by `entity.name`, in a form that can be compared."""
    return {
        f"{entity}.{name}": value.tolist() if isinstance(value, np.ndarray) else value
        for entity in ENTITIES
        for name, value in getattr(values, entity).items()
    }
