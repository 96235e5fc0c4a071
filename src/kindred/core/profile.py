"""The user's noun."""

from datetime import UTC, datetime
from typing import Any, Self

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

    def with_choices_of(self, other: Self) -> Self:
        """Return the profile with what another prefers, where this one names nothing of that kind."""
        return msgspec.structs.replace(
            self,
            preferred_categories=self.preferred_categories or other.preferred_categories,
            preferred_tags=self.preferred_tags or other.preferred_tags,
        )


def age_decade(profile: Profile, as_of: int) -> str | None:
    """Return in which decade of their life a user is at `as_of` (ms), such as `30`; None without a year of birth."""
    if profile.birth_year is None:
        return None
    years = max(datetime.fromtimestamp(as_of / 1_000, UTC).year - profile.birth_year, 0)
    return str(years // 10 * 10)
