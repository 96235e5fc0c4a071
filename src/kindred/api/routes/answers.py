"""Recommendations, similar items, similar users, trending and popular."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from litestar import Request, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from kindred.api.access import described, require_admin
from kindred.api.bodies import SINGLE_LIMIT, StrictBody
from kindred.api.cards import thumbnail_url
from kindred.api.edge import path_id
from kindred.api.platform import Injected
from kindred.api.schemas.items import metadata
from kindred.api.schemas.lists import (
    ListedItem,
    ListResponse,
    SimilarItem,
    SimilarResponse,
    SimilarUser,
    SimilarUsersResponse,
)
from kindred.api.schemas.recommendation import (
    RecommendationRequest,
    RecommendationResponse,
    RecommendedItem,
    to_ask,
)
from kindred.api.tokens import READ
from kindred.core.ids import check_id, id_fault
from kindred.core.item import Item
from kindred.recommend.ask import ListAnswer, ListAsk, Served, ShownItem, SimilarAsk, SimilarUsersAsk

Count = Annotated[int, QueryParameter(ge=1, le=100, description="how many, 1 to 100")]
Window = Annotated[Literal["1h", "24h", "7d"], QueryParameter(description="how far back")]
Category = Annotated[str | None, QueryParameter(min_length=1, max_length=256, description="only of this category")]
Country = Annotated[str | None, QueryParameter(pattern="^[A-Za-z]{2}$", description="ISO 3166 alpha-2, such as DE")]
Metric = Literal["hybrid", "collaborative", "content"]


@post(
    "/api/v1/recommendations",
    dto=StrictBody[RecommendationRequest],
    return_dto=None,
    status_code=200,
    request_max_body_size=SINGLE_LIMIT,
    **described(READ, "answers", 410, 413, 422),
)
async def recommendations(
    data: JSONBody[RecommendationRequest], platform: Injected, request: Request[Any, Any, Any]
) -> RecommendationResponse:
    """Recommend items to a user, each with its reason."""
    if data.trace:
        require_admin(request)
    return answered(await platform.serving.recommend(to_ask(data)), data.return_fields)


def answered(served: Served, fields: Sequence[str] | None = None) -> RecommendationResponse:
    """Return a slate as it is answered, with only those fields of the metadata where some are asked for."""
    return response(served, [recommended(shown, fields) for shown in served.items])


def response(served: Served, items: list[RecommendedItem]) -> RecommendationResponse:
    """Return the answer around its items."""
    return RecommendationResponse(
        recommendations=items,
        request_id=served.request_id,
        model_version=served.model_version,
        state_version=served.state_version,
        experiment_id=None,
        experiments={},
        strategy=served.strategy,
        degraded=served.degraded,
        next_page_token=served.next_page_token,
        took_ms=round(served.took_ms, 3),
        trace=served.trace,
    )


def recommended(shown: ShownItem, fields: Sequence[str] | None = None) -> RecommendedItem:
    """Return an item as an answer shows it, with only those fields of its metadata where some are asked for."""
    item = shown.catalog_item.item
    known = metadata(item, shown.rating)
    return RecommendedItem(
        item_id=item.item_id,
        title=item.title or item.item_id,
        thumbnail_url=item.thumbnail_url or thumbnail_url(item.item_id),
        score=round(shown.score, 6),
        reason=shown.reason.text,
        reason_code=shown.reason.code.value,
        anchor_item_id=shown.anchor_item_id,
        source=shown.source,
        sources=shown.sources,
        category=item.category,
        categories=item.categories,
        metadata=known if fields is None else {name: known[name] for name in fields if name in known},
    )


@get("/api/v1/items/{item_id:str}/similar", **described(READ, "answers", 404))
async def similar(
    platform: Injected,
    item_id: FromPath[str],
    count: Count = 10,
    metric: FromQuery[Metric] = "hybrid",
    category: Category = None,
    exclude_items: Annotated[
        list[str] | None, QueryParameter(description="ids to leave out: repeated, or joined by commas")
    ] = None,
    user_id: Annotated[str | None, QueryParameter(description="leave out what this user has seen")] = None,
) -> SimilarResponse:
    """List items like one item, with what they share."""
    ask = SimilarAsk(
        item_id=path_id(item_id, "/item_id"),
        count=count,
        metric=metric,
        category=category,
        exclude_items=_excluded(exclude_items or []),
        user_id=None if user_id is None else check_id(user_id, "/user_id"),
    )
    answer = await platform.serving.similar(ask)
    return SimilarResponse(
        item_id=answer.item_id,
        metric=answer.metric,
        model_version=answer.model_version,
        state_version=answer.state_version,
        similar_items=[
            SimilarItem(similarity_score=round(score, 6), reason=reason, **_shown(found.item))
            for found, score, reason in answer.items
        ],
        degraded=answer.degraded,
    )


def _excluded(values: list[str]) -> tuple[str, ...]:
    parts = [part.strip() for value in values for part in value.split(",") if part.strip()]
    # An id may itself hold a comma, so a value that could be one is left out beside its parts.
    wholes = [value for value in values if id_fault(value) is None]
    return tuple(dict.fromkeys(check_id(each, "/exclude_items") for each in [*wholes, *parts]))


def _shown(item: Item) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "title": item.title or item.item_id,
        "thumbnail_url": item.thumbnail_url or thumbnail_url(item.item_id),
        "category": item.category,
    }


@get("/api/v1/users/{user_id:str}/similar", **described(READ, "answers", 404))
async def similar_users(platform: Injected, user_id: FromPath[str], count: Count = 10) -> SimilarUsersResponse:
    """List users whose taste is like one user's, and how many items they share."""
    answer = await platform.serving.similar_users(SimilarUsersAsk(path_id(user_id, "/user_id"), count))
    return SimilarUsersResponse(
        user_id=answer.user_id,
        state_version=answer.state_version,
        similar_users=[
            SimilarUser(user_id=user, similarity=round(similarity, 6), items_in_common=common)
            for user, similarity, common in answer.users
        ],
    )


@get("/api/v1/trending", **described(READ, "answers"))
async def trending(
    platform: Injected,
    category: Category = None,
    country: Country = None,
    window: Window = "24h",
    count: Count = 20,
) -> ListResponse:
    """List what is rising now."""
    ask = ListAsk(kind="trending", category=category, country=upper(country), window=window, count=count)
    return list_response(await platform.serving.listing(ask))


@get("/api/v1/popular", **described(READ, "answers"))
async def popular(
    platform: Injected, category: Category = None, country: Country = None, count: Count = 20
) -> ListResponse:
    """List what is popular, recent interactions counting more."""
    ask = ListAsk(kind="popular", category=category, country=upper(country), count=count)
    return list_response(await platform.serving.listing(ask))


def upper(country: str | None) -> str | None:
    """Return a country in capitals."""
    return country.upper() if country else None


def list_response(answer: ListAnswer) -> ListResponse:
    """Return a list as it is answered."""
    return ListResponse(
        items=[
            ListedItem(score=round(score, 6), reason=reason, **_shown(found.item))
            for found, score, reason in answer.items
        ],
        window=answer.window,
        model_version=answer.model_version,
        state_version=answer.state_version,
        degraded=answer.degraded,
    )


HANDLERS = [recommendations, similar, similar_users, trending, popular]
