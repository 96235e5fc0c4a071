"""New users: a list of items to choose from, and what they chose."""

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody

from kindred.api.access import accepted, described
from kindred.api.bodies import SINGLE_LIMIT, StrictBody
from kindred.api.edge import path_id
from kindred.api.platform import Injected, Platform
from kindred.api.routes.answers import Category, Count, Country, list_response, upper
from kindred.api.schemas.lists import ListResponse
from kindred.api.schemas.onboarding import Choices, PreferencesBody, check_known, to_choices
from kindred.api.schemas.outcomes import UserOutcome
from kindred.api.tokens import READ, WRITE
from kindred.api.writing import settle
from kindred.core.event import Event, Interaction, ProfileUpdated
from kindred.core.ids import new_id
from kindred.core.profile import Profile
from kindred.recommend.ask import ListAsk
from kindred.recommend.known_user import known_user


@get("/api/v1/onboarding/items", **described(READ, "answers"))
async def onboarding_items(
    platform: Injected, category: Category = None, country: Country = None, count: Count = 20
) -> ListResponse:
    """List well-known items that tell tastes apart, for a new user to choose from."""
    ask = ListAsk(kind="starters", category=category, country=upper(country), count=count)
    return list_response(await platform.serving.listing(ask))


@post(
    "/api/v1/users/{user_id:str}/preferences",
    dto=StrictBody[PreferencesBody],
    return_dto=None,
    status_code=200,
    request_max_body_size=SINGLE_LIMIT,
    **described(WRITE, "users", 413, responses=accepted(UserOutcome, "Durable; answers will see it soon")),
)
async def post_preferences(
    data: JSONBody[PreferencesBody], platform: Injected, user_id: FromPath[str]
) -> Response[UserOutcome]:
    """Record what a user chose: likes and dislikes as events, categories and tags in the profile."""
    wanted, choices = path_id(user_id, "/user_id"), to_choices(data)
    check_known(choices, await platform.stores.catalog.get(choices.items))
    stores = platform.stores
    known = (await known_user(stores.state, wanted, stores.log.partition_of)).user_id
    positions, stored = await settle(platform, await _events(platform, known, choices))
    status = "stored" if stored else "queued"
    body = UserOutcome(user_id=wanted, status=status, position=str(max(positions)))  # type: ignore[arg-type]
    return Response(body, status_code=200 if stored else 202)


async def _events(platform: Platform, user_id: str, choices: Choices) -> list[Event]:
    """Return what goes to the log: one event per item, and the whole profile where names were chosen."""
    now = platform.clock.now()
    events: list[Event] = [
        Interaction(
            event_id=new_id("evt"),
            timestamp=now,
            ingested_at=now,
            user_id=user_id,
            item_id=item_id,
            event_type=event_type,
        )
        for event_type, items in (("like", choices.likes), ("dislike", choices.dislikes))
        for item_id in dict.fromkeys(items)
    ]
    named = {"preferred_categories": choices.categories, "preferred_tags": choices.tags}
    changed = {name: names for name, names in named.items() if names is not None}
    if changed:
        (standing,) = await platform.stores.profiles.get([user_id])
        profile = msgspec.structs.replace(standing or Profile(user_id=user_id), **changed)
        events.append(ProfileUpdated(event_id=new_id("evt"), timestamp=now, ingested_at=now, profile=profile))
    return events


HANDLERS = [onboarding_items, post_preferences]
