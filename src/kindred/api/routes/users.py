"""Users' profiles: create or replace, read, list, and erase a user."""

from litestar import Response, delete, get, post, put
from litestar.params import FromPath, JSONBody

from kindred.api.access import accepted, described
from kindred.api.bodies import BATCH_LIMIT, SINGLE_LIMIT, Batch, BatchBody, StrictBody
from kindred.api.edge import path_id
from kindred.api.platform import Injected
from kindred.api.routes.items import After, Limit
from kindred.api.schemas.outcomes import BatchOutcome, ElementOutcome, UserOutcome
from kindred.api.schemas.users import UserBody, UserPage, UserView, to_profile, view
from kindred.api.tokens import READ, WRITE
from kindred.api.writing import outcome, settle, sift
from kindred.core.errors import NotFound
from kindred.core.event import ProfileErased, ProfileUpdated
from kindred.core.ids import new_id
from kindred.core.profile import Profile
from kindred.recommend.known_user import known_user


class UsersBody(BatchBody[Batch[UserBody]]):
    """Reads users, each alone."""

    field = "users"


@put(
    "/api/v1/users/{user_id:str}",
    dto=StrictBody[UserBody],
    return_dto=None,
    request_max_body_size=SINGLE_LIMIT,
    **described(WRITE, "users", 413, responses=accepted(UserOutcome, "Durable; answers will see it soon")),
)
async def put_user(data: JSONBody[UserBody], platform: Injected, user_id: FromPath[str]) -> Response[UserOutcome]:
    """Create or replace a user's profile."""
    event = _updated(to_profile(data, path_id(user_id, "/user_id")), platform.clock.now())
    (position,), stored = await settle(platform, [event])
    status = "stored" if stored else "queued"
    body = UserOutcome(user_id=event.profile.user_id, status=status, position=str(position))  # type: ignore[arg-type]
    return Response(body, status_code=200 if stored else 202)


@post(
    "/api/v1/users",
    dto=UsersBody,
    return_dto=None,
    status_code=200,
    request_max_body_size=BATCH_LIMIT,
    **described(WRITE, "users", 413, responses=accepted(BatchOutcome, "Durable; answers will see them soon")),
)
async def post_users(data: JSONBody[Batch[UserBody]], platform: Injected) -> Response[BatchOutcome]:
    """Create or replace up to 1,000 profiles; each has its own result."""
    now = platform.clock.now()
    found, good = sift(data, lambda body, pointer: _updated(to_profile(body, at=pointer), now))
    positions, stored = await settle(platform, good) if good else ([], True)

    def told(event: ProfileUpdated, position: str) -> ElementOutcome:
        status = "stored" if stored else "queued"
        return ElementOutcome(status=status, user_id=event.profile.user_id, position=position)  # type: ignore[arg-type]

    return Response(outcome(found, positions, told), status_code=200 if stored else 202)


def _updated(profile: Profile, now: int) -> ProfileUpdated:
    return ProfileUpdated(event_id=new_id("evt"), timestamp=now, ingested_at=now, profile=profile)


@get("/api/v1/users/{user_id:str}", **described(READ, "users", 404))
async def get_user(platform: Injected, user_id: FromPath[str]) -> UserView:
    """Return one user's profile; a merged one reads as the known one."""
    stores = platform.stores
    wanted = (await known_user(stores.state, path_id(user_id, "/user_id"), stores.log.partition_of)).user_id
    (found,) = await stores.profiles.get([wanted])
    if found is None:
        raise NotFound(f"there is no profile of user {wanted!r}")
    return view(found)


@get("/api/v1/users", **described(READ, "users"))
async def list_users(platform: Injected, limit: Limit = 50, after: After = "") -> UserPage:
    """List profiles in order of id."""
    found = await platform.stores.profiles.page(after, limit + 1)
    users = [view(each) for each in found[:limit]]
    return UserPage(users=users, next_after=users[-1].user_id if len(found) > limit else None)


@delete(
    "/api/v1/users/{user_id:str}",
    status_code=200,
    **described(WRITE, "users", responses=accepted(UserOutcome, "Durable; it will be done soon")),
)
async def delete_user(platform: Injected, user_id: FromPath[str]) -> Response[UserOutcome]:
    """Erase a user: profile, history and state; a user without a profile is erased too."""
    now = platform.clock.now()
    wanted = path_id(user_id, "/user_id")
    event = ProfileErased(event_id=new_id("evt"), timestamp=now, ingested_at=now, user_id=wanted)
    (position,), stored = await settle(platform, [event])
    status = "erased" if stored else "queued"
    body = UserOutcome(user_id=wanted, status=status, position=str(position))  # type: ignore[arg-type]
    return Response(body, status_code=200 if stored else 202)


HANDLERS = [put_user, post_users, get_user, list_users, delete_user]
