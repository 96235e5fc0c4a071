"""`kindred features`: which features there are, and what they are of a user and an item now."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from kindred.cli.output import Json, emit_json, show, table, when
from kindred.cli.session import opened_stores
from kindred.core.errors import NotFound
from kindred.core.ids import check_id

if TYPE_CHECKING:
    from kindred.app.stores import Stores
    from kindred.core.item import Item
    from kindred.features.item_blocks import Blocks
    from kindred.features.registry import Feature
    from kindred.features.users import UserRecord
    from kindred.features.values.attributes import ItemAttributes
    from kindred.features.values.slate import FeatureValues

Entity = Literal["user", "item", "pair", "context"]
_PAGE = 5_000
_WORD = 64

features = App(name="features", help="List the features, or show them for a user and an item.")


@features.command(name="list")
def list_features(entity: Entity | None = None, /, *, as_json: Json = False) -> None:
    """List every feature with its formula, unit and default; ENTITY: only those of it."""
    from kindred.features.registry import features as registered

    found = list(registered(entity).values())
    if as_json:
        emit_json(found)
        return
    columns = ["feature|cyan", "unit", "formula", "without data||right", "ttl s||right"]
    rows = [(f"{each.entity}.{each.name}", each.unit, each.formula, each.default, each.ttl) for each in found]
    show(table(columns, rows))


@features.command(name="show")
async def show_features(
    user: str,
    /,
    *,
    item: Annotated[str | None, Parameter(help="Also of this item, and of both together.")] = None,
    as_json: Json = False,
) -> None:
    """Show the features of USER as they are now; those of models are left without data."""
    from kindred.core.clock import SystemClock

    user, now = check_id(user, "USER"), SystemClock().now()
    async with opened_stores() as stores:
        found = await _read(stores, user, None if item is None else check_id(item, "--item"), now)
    entities: tuple[Entity, ...] = ("user", "context") if item is None else ("user", "item", "pair", "context")
    values = {entity: _plain(entity, found[0], found[1]) for entity in entities}
    if as_json:
        emit_json({"user_id": user, "item_id": item, "as_of": now, **values})
        return
    _show_table(values, f"user {user}" + (f", item {item}" if item else "") + f", {when(now)}")


def _show_table(values: dict[Entity, dict[str, Any]], title: str) -> None:
    """Print values with their units."""
    from kindred.features.registry import features as registered

    units: dict[str, Feature] = registered()
    rows = [
        (f"{entity}.{name}", _said(value), units[f"{entity}.{name}"].unit)
        for entity, named in values.items()
        for name, value in named.items()
    ]
    show(table(["feature|cyan", "value", "unit|dim"], rows, title=title))


async def _read(
    stores: "Stores", user_id: str, item_id: str | None, now: int
) -> "tuple[FeatureValues, ItemAttributes]":
    """Read what the state and the catalogue hold; raise NotFound when nothing is known of the user or the item."""
    import numpy as np

    from kindred.core.query import Context
    from kindred.features.values.slate import all_values
    from kindred.recommend.known_user import known_user

    ordinals = np.empty(0, np.int32)
    if item_id is not None:
        (found,) = await stores.catalog.get([item_id])
        if found is None:
            raise NotFound(f"no item {item_id!r} is known")
        ordinals = np.array([found.ordinal], np.int32)
    record = (await known_user(stores.state, user_id, stores.log.partition_of)).record
    if record is None:
        raise NotFound(f"nothing is known of user {user_id!r}")
    heads = await _heads(stores, ordinals.tolist())
    catalogue = await _catalogue(stores, record, ordinals.tolist(), now)
    return all_values(record, ordinals, heads, catalogue, Context(time=now)), catalogue


async def _heads(stores: "Stores", ordinals: list[int]) -> "Blocks":
    """Read what requests read of items."""
    from kindred.features.groups import ITEM
    from kindred.features.item_blocks import HEAD, read_heads

    return read_heads(await stores.state.heads(ITEM, [str(ordinal) for ordinal in ordinals], HEAD.itemsize))


async def _catalogue(stores: "Stores", record: "UserRecord", wanted: list[int], now: int) -> "ItemAttributes":
    """Return the whole catalogue as columns, with what the records say of the items that matter here."""
    import numpy as np

    from kindred.features.values.attributes import attributes_of
    from kindred.features.values.items import ItemReading, item_columns

    items: dict[int, Item] = {}
    seq = 0
    while page := await stores.catalog.changes_since(seq, _PAGE):
        items |= {each.ordinal: each.item for each in page if each.listed}
        seq = page[-1].seq
    whole = attributes_of([items.get(ordinal) for ordinal in range(max(items, default=-1) + 1)])
    known = sorted({*record.rows().items.tolist(), *wanted} & set(range(len(whole))))
    ordinals = np.array(known, np.int32)
    columns = item_columns(ItemReading.of(await _heads(stores, known), now, whole.take(ordinals)))
    whole.popularity[ordinals], whole.quality[ordinals] = columns["popularity_score"], columns["quality_score"]
    return whole


def _plain(entity: Entity, values: "FeatureValues", catalogue: "ItemAttributes") -> dict[str, Any]:
    """Return an entity's values in the registry's order, as plain Python, with the names of categories and tags."""
    from kindred.features.registry import features as registered
    from kindred.features.values.items import category_names

    made: dict[str, Any] = {}
    for name in registered(entity):
        value = getattr(values, entity)[name]
        if entity in ("item", "pair"):
            if name in ("category", "subcategory"):
                made[name] = category_names(catalogue, value)[0]
            elif name == "tags":
                names = enumerate(catalogue.names.tags)
                made[name] = [tag for bit, tag in names if int(value[0, bit // _WORD]) >> bit % _WORD & 1]
            else:
                made[name] = value[0].tolist()
        else:
            made[name] = value.tolist() if hasattr(value, "tolist") else value
    return made


def _said(value: Any) -> Any:
    """Write a value for a person."""
    if isinstance(value, list):
        return ", ".join(_said(each) for each in value) or "–"
    if isinstance(value, tuple):
        return " ".join(_said(each) for each in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
