"""What the circumstances of a request say."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from kindred.core.profile import Profile
from kindred.core.query import Context
from kindred.features.registry import UNKNOWN
from kindred.features.values.users import UserReading

_SEASONS = ("winter", "spring", "summer", "autumn")
# Countries that lie, or whose people mostly live, south of the equator.
_SOUTHERN_CODES = (
    "AO AR AU BI BO BR BW CD CG CK CL EC FJ FK GA ID KM LS MG MU MW MZ NA NC NR NU NZ PE PF PG PY RE RW SB SC SZ TL TO "
    "TV TZ UY VU WF WS YT ZA ZM ZW"
)
_SOUTHERN = frozenset(_SOUTHERN_CODES.split())


def context_values(context: Context, user: UserReading) -> dict[str, Any]:
    """Return every feature of a request by name; times are by the clock of the user's time zone."""
    profile = user.record.profile
    local = local_time(user.as_of, profile)
    country = context.country or (profile.country if profile else None) or ""
    rows = user.rows.timestamps
    depth = 0 if user.session is None else int(np.count_nonzero((rows >= user.session) & (rows <= user.as_of)))
    return {
        "hour": local.hour,
        "weekday": local.weekday(),
        "device": context.device or UNKNOWN,
        "page": context.page,
        "location": context.location or country or UNKNOWN,
        "session_depth": depth,
        "season": _season(local.month, country.upper() in _SOUTHERN),
    }


def local_time(as_of: int, profile: Profile | None) -> datetime:
    """Return a moment (ms since 1970 UTC) on the user's clock, UTC where their time zone is not known."""
    zone = _zone(profile.timezone) if profile is not None and profile.timezone else None
    return datetime.fromtimestamp(as_of / 1000, zone or UTC)


def clock_offset(as_of: int, profile: Profile | None) -> int:
    """Return how far the user's clock is ahead of UTC in ms."""
    offset = local_time(as_of, profile).utcoffset()
    return round(offset.total_seconds() * 1000) if offset is not None else 0


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    """Return a time zone by its IANA name, None for a name that is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _season(month: int, southern: bool) -> str:
    """Return the meteorological season of a month, 1 = January."""
    return _SEASONS[(month % 12 // 3 + 2 * southern) % 4]
