"""Body and answer of `POST /api/v1/recommendations`."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from kindred.api.decoding import Faults
from kindred.api.schemas.fields import LOCATION, Id, Name, Names, Time, read_time
from kindred.core.errors import Fault, NotAvailableYet
from kindred.core.query import Boost as AskedBoost
from kindred.core.trace import Trace
from kindred.recommend.ask import Ask
from kindred.recommend.where.grammar import MAX_LENGTH

Share = Annotated[float, Meta(ge=0, le=1)]
Where: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=MAX_LENGTH, description="an expression over item attributes; see the guide")
]


class RequestContext(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The circumstances of a request."""

    page: Literal["home", "search", "item_page", "category"] | None = None
    device: Literal["mobile", "web", "tv"] | None = None
    location: (
        Annotated[str, Meta(pattern=LOCATION, description="CC[-region[-city]], such as DE or DE-BE-Berlin")] | None
    ) = None
    time: Time | None = None
    session_id: Name | None = None
    item_id: Id | None = None


class RequestFilters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every item of the answer must satisfy."""

    category: Name | Names | None = None
    exclude_seen: bool = True
    min_rating: Annotated[float, Meta(ge=0, le=1000)] | None = None
    tags: Names = ()
    where: Where | None = None
    exclude_items: Annotated[tuple[Id, ...], Meta(max_length=1000)] = ()


class Boost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Multiplies the score of what an expression lets through."""

    where: Where
    factor: Annotated[float, Meta(ge=0.1, le=10)]


Boosts: TypeAlias = Annotated[tuple[Boost, ...], Meta(max_length=10)]
ReturnFields: TypeAlias = Annotated[
    tuple[Name, ...], Meta(max_length=100, description="names of the metadata to return; default: all")
]


class RecommendationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question for a slate; an unknown user gets the cold-start slate."""

    user_id: Id
    context: RequestContext = RequestContext()
    filters: RequestFilters = RequestFilters()
    count: Annotated[int, Meta(ge=1, le=100)] = 20
    placement: Name | None = None
    experiment_id: Annotated[str, Meta(description="not available yet")] | None = None
    boosts: Boosts = ()
    return_fields: ReturnFields | None = None
    prefetch: Annotated[bool, Meta(description="the answer is not an exposure")] = False
    diversity: Share | None = None
    exploration: Share | None = None
    page_token: Annotated[str, Meta(max_length=4096, description="`next_page_token` of the page before")] | None = None
    trace: Annotated[bool, Meta(description="include the decision trace; needs the admin scope")] = False


class RecommendedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One recommended item; `source` has the largest share of its score, `sources` are all that proposed it."""

    item_id: str
    title: str
    thumbnail_url: str
    score: float
    reason: str
    reason_code: str
    anchor_item_id: str | None
    source: str
    sources: tuple[str, ...]
    category: str | None
    categories: list[str]
    metadata: dict[str, Any]


class RecommendationResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A slate, the versions it was made from, and what failed open while it was made."""

    recommendations: list[RecommendedItem]
    request_id: str
    model_version: str
    state_version: str
    experiment_id: str | None
    experiments: dict[str, str]
    strategy: str
    degraded: list[str]
    next_page_token: str | None
    took_ms: float
    trace: Trace | None = None


def to_ask(body: RecommendationRequest) -> Ask:
    """Read a body into a question; raise NotAvailableYet for a field of a later release, InvalidInput for bad ids."""
    if body.experiment_id is not None:
        raise NotAvailableYet(faults=[Fault("/experiment_id", "is not available yet; leave it out")])
    faults = Faults()
    context, filters = body.context, body.filters
    item_id = None if context.item_id is None else faults.identifier(context.item_id, "/context/item_id")
    session = None if context.session_id is None else faults.identifier(context.session_id, "/context/session_id")
    category = filters.category
    ask = Ask(
        user_id=faults.identifier(body.user_id, "/user_id"),
        placement=body.placement,
        page=context.page,
        device=context.device,
        location=context.location,
        time=read_time(context.time, "/context/time", faults),
        session_id=session,
        item_id=item_id,
        categories=(category,) if isinstance(category, str) else category or (),
        exclude_seen=filters.exclude_seen,
        min_rating=filters.min_rating,
        tags=filters.tags,
        exclude_items=faults.identifiers(filters.exclude_items, "/filters/exclude_items"),
        where=filters.where,
        boosts=tuple(AskedBoost(where=each.where, factor=each.factor) for each in body.boosts),
        page_token=body.page_token,
        count=body.count,
        diversity=body.diversity,
        exploration=body.exploration,
        prefetch=body.prefetch,
        trace=body.trace,
    )
    faults.done()
    return ask
