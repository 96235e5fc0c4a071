"""`kindred recommend`, `similar` and `trending`: answers in the terminal, without a server."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from kindred.cli.explaining import stage_table
from kindred.cli.output import Json, emit_json, note, show, table
from kindred.cli.session import opened_app
from kindred.core.errors import InvalidInput
from kindred.core.ids import check_id

if TYPE_CHECKING:
    from kindred.core.item import CatalogItem
    from kindred.recommend.ask import ListAnswer, Served

Window = Literal["1h", "24h", "7d"]
Metric = Literal["hybrid", "collaborative", "content"]
Count = Annotated[int, Parameter(help="How many items, 1 to 100.")]
Categories = Annotated[
    list[str] | None, Parameter(name="--category", negative="", help="Only items of it; repeatable.")
]
Tags = Annotated[list[str] | None, Parameter(name="--tag", negative="", help="Only items with it; repeatable.")]
Excluded = Annotated[list[str] | None, Parameter(name="--exclude", negative="", help="Never this item; repeatable.")]


async def recommend(
    user: str,
    /,
    *,
    count: Count = 10,
    category: Categories = None,
    tag: Tags = None,
    exclude: Excluded = None,
    min_rating: Annotated[float | None, Parameter(help="Only items rated at least so.")] = None,
    include_seen: Annotated[bool, Parameter(negative="", help="Also what the user has seen.")] = False,
    placement: Annotated[str | None, Parameter(help="Named surface; default home.")] = None,
    item: Annotated[str | None, Parameter(help="The item on screen.")] = None,
    diversity: Annotated[float | None, Parameter(help="0 to 1, over the placement's.")] = None,
    exploration: Annotated[float | None, Parameter(help="0 to 1, expected share of drawn slots.")] = None,
    trace: Annotated[bool, Parameter(negative="", help="Also show what every stage did.")] = False,
    as_json: Json = False,
) -> None:
    """Show what USER would be recommended, and why; it does not count as an exposure."""
    from kindred.recommend.ask import Ask

    ask = Ask(
        user_id=check_id(user, "USER"),
        placement=placement,
        item_id=None if item is None else check_id(item, "--item"),
        categories=tuple(category or ()),
        exclude_seen=not include_seen,
        min_rating=_rating(min_rating),
        tags=tuple(tag or ()),
        exclude_items=tuple(check_id(each, "--exclude") for each in exclude or ()),
        count=_count(count),
        diversity=_share(diversity, "diversity"),
        exploration=_share(exploration, "exploration"),
        prefetch=True,
        trace=trace,
    )
    async with opened_app() as app:
        served = await app.serving.recommend(ask)
    if as_json:
        emit_json(_served(served, trace))
        return
    _show_served(user, served)
    if trace and served.trace is not None:
        show(stage_table(served.trace))


async def similar(
    item: str,
    /,
    *,
    count: Count = 10,
    metric: Metric = "hybrid",
    category: Annotated[str | None, Parameter(help="Only items of it.")] = None,
    user: Annotated[str | None, Parameter(help="Leave out what this user has seen.")] = None,
    as_json: Json = False,
) -> None:
    """Show the items most like ITEM, and what they share."""
    from kindred.recommend.ask import SimilarAsk

    ask = SimilarAsk(
        item_id=check_id(item, "ITEM"),
        count=_count(count),
        metric=metric,
        category=category,
        user_id=None if user is None else check_id(user, "--user"),
    )
    async with opened_app() as app:
        answer = await app.serving.similar(ask)
    if as_json:
        rows = [{**_item(found), "similarity_score": value, "reason": why} for found, value, why in answer.items]
        emit_json(
            {
                "item_id": item,
                "metric": answer.metric,
                "model_version": answer.model_version,
                "state_version": answer.state_version,
                "degraded": answer.degraded,
                "similar_items": rows,
            }
        )
        return
    _show_list(f"Like {item} ({answer.metric})", "similarity", answer.items, answer.degraded)


async def trending(
    *,
    category: Annotated[str | None, Parameter(help="Only this primary category.")] = None,
    country: Annotated[str | None, Parameter(help="ISO 3166 alpha-2, such as GB.")] = None,
    window: Window = "24h",
    count: Count = 10,
    as_json: Json = False,
) -> None:
    """Show what rises above its own baseline."""
    await _list("trending", category, country, window, count, as_json)


async def popular(
    *,
    category: Annotated[str | None, Parameter(help="Only this primary category.")] = None,
    country: Annotated[str | None, Parameter(help="ISO 3166 alpha-2, such as GB.")] = None,
    count: Count = 10,
    as_json: Json = False,
) -> None:
    """Show what most users like."""
    await _list("popular", category, country, "7d", count, as_json)


async def _list(kind: str, category: str | None, country: str | None, window: str, count: int, as_json: bool) -> None:
    from kindred.recommend.ask import ListAsk

    ask = ListAsk(kind=kind, category=category, country=_country(country), window=window, count=_count(count))
    async with opened_app() as app:
        answer = await app.serving.listing(ask)
    if as_json:
        emit_json(_listing(answer))
        return
    within = f" in {category}" if category else ""
    heading = f"Trending{within}, last {answer.window}" if kind == "trending" else f"Popular{within}"
    _show_list(heading, "score", answer.items, answer.degraded)


def _count(count: int) -> int:
    if not 1 <= count <= 100:
        raise InvalidInput(f"--count is 1 to 100, not {count}")
    return count


def _rating(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 1000:
        raise InvalidInput(f"--min-rating is 0 to 1000, not {value:g}")
    return value


def _country(value: str | None) -> str | None:
    if value is not None and not (len(value) == 2 and value.isascii() and value.isalpha()):
        raise InvalidInput(f"--country is two letters, such as GB, not {value!r}")
    return None if value is None else value.upper()


def _share(value: float | None, name: str) -> float | None:
    if value is not None and not 0 <= value <= 1:
        raise InvalidInput(f"--{name} is 0 to 1, not {value:g}")
    return value


def _show_served(user: str, served: "Served") -> None:
    rows = [
        (place, s.catalog_item.item.item_id, s.catalog_item.item.title, s.catalog_item.item.category, s.score,
         s.reason.text, s.source)
        for place, s in enumerate(served.items, start=1)
    ]  # fmt: skip
    columns = ["|dim|right", "item|cyan", "title|bold", "category", "score||right", "why|green", "source|dim"]
    show(table(columns, rows, title=f"For {user}: {served.strategy} on {served.placement}"))
    _degraded(served.degraded, len(served.items))
    note(f"bundle {served.model_version}, state {served.state_version}, {served.took_ms:.1f} ms", style="dim")


def _show_list(title: str, value: str, rows: "list[tuple[CatalogItem, float, str]]", degraded: list[str]) -> None:
    cells = [
        (place, found.item.item_id, found.item.title, found.item.category, score, why)
        for place, (found, score, why) in enumerate(rows, start=1)
    ]
    columns = ["|dim|right", "item|cyan", "title|bold", "category", f"{value}||right", "why|green"]
    show(table(columns, cells, title=title))
    _degraded(degraded, len(rows))


def _degraded(degraded: list[str], shown: int) -> None:
    if degraded:
        note(f"{'Nothing to show' if not shown else 'Less than usual'}: {', '.join(degraded)}", style="yellow")


def _item(found: "CatalogItem") -> dict[str, Any]:
    return {"item_id": found.item.item_id, "title": found.item.title, "category": found.item.category}


def _served(served: "Served", trace: bool) -> dict[str, Any]:
    rows = [
        {
            **_item(s.catalog_item),
            "score": s.score,
            "reason": s.reason.text,
            "reason_code": s.reason.code,
            "anchor_item_id": s.anchor_item_id,
            "source": s.source,
            "sources": s.sources,
            "rating": s.rating,
            "propensity": propensity,
        }
        for s, propensity in zip(served.items, served.propensities, strict=True)
    ]
    return {
        "recommendations": rows,
        "request_id": served.request_id,
        "model_version": served.model_version,
        "state_version": served.state_version,
        "strategy": served.strategy,
        "placement": served.placement,
        "degraded": served.degraded,
        "took_ms": served.took_ms,
        **({"trace": served.trace} if trace else {}),
    }


def _listing(answer: "ListAnswer") -> dict[str, Any]:
    return {
        "window": answer.window,
        "model_version": answer.model_version,
        "state_version": answer.state_version,
        "degraded": answer.degraded,
        "items": [{**_item(found), "score": score, "reason": why} for found, score, why in answer.items],
    }
