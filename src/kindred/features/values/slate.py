"""All features of one request at once: a user, their candidates, the pairs and the circumstances."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.query import Context
from kindred.features.item_blocks import Blocks
from kindred.features.users import UserRecord
from kindred.features.values.attributes import ItemAttributes
from kindred.features.values.config import DEFAULT, ValueConfig
from kindred.features.values.context import clock_offset, context_values
from kindred.features.values.items import ItemReading, item_columns
from kindred.features.values.pairs import pair_columns
from kindred.features.values.users import UserReading, user_values


@dataclass(frozen=True, slots=True)
class FeatureValues:
    """Values by name: one each of the user and the request, columns (n,) of n items."""

    user: dict[str, Any]
    item: dict[str, NDArray[Any]]
    pair: dict[str, NDArray[Any]]
    context: dict[str, Any]


def all_values(
    record: UserRecord | None,
    ordinals: Ordinals,
    heads: Blocks,
    catalogue: ItemAttributes,
    context: Context,
    config: ValueConfig = DEFAULT,
    content: Floats | None = None,
    collaborative: Floats | None = None,
    pairs: Collection[str] | None = None,
) -> FeatureValues:
    """Return every feature at `context.time` of a user with items `ordinals (n,)`, of which `heads (n,)` were read.

    `catalogue` covers ordinals from 0; `content (d,)`, `collaborative (d,)` are the user's vectors. `pairs`: which
    features of user and item are looked at, all for None.
    """
    as_of = context.time
    user = UserReading.of(record, as_of, catalogue, config)
    items = ItemReading.of(heads, as_of, catalogue.take(ordinals), clock_offset(as_of, user.record.profile))
    columns = item_columns(items)
    return FeatureValues(
        user_values(user),
        columns,
        pair_columns(user, ordinals, items, columns, content, collaborative, pairs),
        context_values(context, user),
    )
