"""The user's noun."""

from typing import Any

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a user besides what they did; `birth_year` is a calendar year, `country` ISO 3166 alpha-2.

    `preferred_categories` and `preferred_tags` are what the user chose of the catalogue's, before doing anything.
    """

    user_id: str
    country: str | None = None
    region: str | None = None
    gender: str | None = None
    birth_year: int | None = None
    language: str | None = None
    timezone: str | None = None
    created: int | None = None
    preferred_categories: tuple[str, ...] = ()
    preferred_tags: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}
