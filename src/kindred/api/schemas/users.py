"""Bodies and answers about users' profiles."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from kindred.api.decoding import Faults
from kindred.api.schemas.fields import Id, Name, Names, Time, check_attributes, check_text, check_texts, read_time
from kindred.core.clock import format_time
from kindred.core.profile import Profile


class UserBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a user besides what they did."""

    user_id: Id | None = None
    country: Annotated[str, Meta(pattern="^[A-Za-z]{2}$", description="ISO 3166 alpha-2, such as DE")] | None = None
    region: Name | None = None
    gender: Name | None = None
    birth_year: Annotated[int, Meta(ge=1880, le=2100)] | None = None
    language: (
        Annotated[str, Meta(max_length=35, pattern="^[A-Za-z0-9-]+$", description="BCP 47, such as de-CH")] | None
    ) = None
    timezone: (
        Annotated[
            str, Meta(max_length=64, pattern="^[A-Za-z0-9_+/-]+$", description="an IANA name, such as Europe/Berlin")
        ]
        | None
    ) = None
    created: Time | None = None
    preferred_categories: Names = ()
    preferred_tags: Names = ()
    attributes: dict[str, Any] = {}


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user's profile."""

    user_id: str
    country: str | None
    region: str | None
    gender: str | None
    birth_year: int | None
    language: str | None
    timezone: str | None
    created: str | None
    preferred_categories: Sequence[str]
    preferred_tags: Sequence[str]
    attributes: dict[str, Any]


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    """Users in order of id; `next_after` continues behind them, null at the end."""

    users: list[UserView]
    next_after: str | None


def to_profile(body: UserBody, path_id: str | None = None, at: str = "") -> Profile:
    """Read a body into a profile; `path_id` is the id in the address, `at` the pointer of the body within a batch.

    Raises InvalidInput naming every field that breaks a rule.
    """
    faults = Faults(at)
    if path_id is not None and body.user_id is not None and str(body.user_id) != path_id:
        faults.add("/user_id", f"must be the id in the address, {path_id!r}, or be left out")
    user_id = path_id if path_id is not None else body.user_id
    if user_id is None:
        faults.add("/user_id", "is required")
    profile = Profile(
        user_id="" if user_id is None else faults.identifier(user_id, "/user_id"),
        country=body.country.upper() if body.country else None,
        region=check_text(body.region, "/region", faults) if body.region else None,
        gender=check_text(body.gender, "/gender", faults) if body.gender else None,
        birth_year=body.birth_year,
        language=body.language,
        timezone=body.timezone,
        created=read_time(body.created, "/created", faults),
        preferred_categories=check_texts(body.preferred_categories, "/preferred_categories", faults),
        preferred_tags=check_texts(body.preferred_tags, "/preferred_tags", faults),
        attributes=check_attributes(body.attributes, "/attributes", faults),
    )
    faults.done()
    return profile


def view(profile: Profile) -> UserView:
    """Show a profile."""
    return UserView(
        user_id=profile.user_id,
        country=profile.country,
        region=profile.region,
        gender=profile.gender,
        birth_year=profile.birth_year,
        language=profile.language,
        timezone=profile.timezone,
        created=None if profile.created is None else format_time(profile.created),
        preferred_categories=profile.preferred_categories,
        preferred_tags=profile.preferred_tags,
        attributes=profile.attributes,
    )
