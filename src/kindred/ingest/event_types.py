"""The closed list of event types, and what each one's metadata must hold."""

from collections.abc import Iterable, Mapping

from kindred.core.config import Config
from kindred.models.preference import EVENT_WEIGHTS


class NumberRule(Config, frozen=True, kw_only=True):
    """What a number in an event's metadata must be.

    `required`: the event is refused without it. `minimum`, `maximum`: inclusive bounds, None = none. `whole`: no
    fraction.
    """

    required: bool = False
    minimum: float | None = 0.0
    maximum: float | None = None
    whole: bool = False


_BUILT_IN: dict[str, dict[str, NumberRule]] = {
    "rating": {"rating": NumberRule(required=True, maximum=10.0)},
    "view": {"watch_duration": NumberRule(), "total_duration": NumberRule()},
    "purchase": {"price": NumberRule(), "quantity": NumberRule()},
}
_VALUES = {"rating": "rating", "purchase": "price"}


class EventTypesConfig(Config, frozen=True, kw_only=True):
    """Which events are accepted.

    `types`: more event types, or other metadata rules for a built-in one, by name. `ahead`: seconds that a timestamp
    may be in front of the clock. `metadata_keys` and `metadata_bytes`: the most that `metadata` may hold, as JSON.
    """

    types: dict[str, dict[str, NumberRule]] = {}
    ahead: int = 300
    metadata_keys: int = 64
    metadata_bytes: int = 8_192


class EventRules:
    """The configured event types, ready to be asked."""

    def __init__(self, config: EventTypesConfig | None = None, weighted: Iterable[str] = EVENT_WEIGHTS) -> None:
        """Join the built-in types, those with a preference weight (`weighted`), and the configured ones."""
        self.config = config or EventTypesConfig()
        names = {**dict.fromkeys(weighted), **dict.fromkeys(_BUILT_IN), **dict.fromkeys(self.config.types)}
        numbers = {**_BUILT_IN, **self.config.types}
        self._numbers: dict[str, Mapping[str, NumberRule]] = {name: numbers.get(name, {}) for name in names}

    @property
    def names(self) -> list[str]:
        """Return the accepted event types, sorted."""
        return sorted(self._numbers)

    def numbers(self, event_type: str) -> Mapping[str, NumberRule] | None:
        """Return the metadata rules of an event type, or None when it is not accepted."""
        return self._numbers.get(event_type)


def value_field(event_type: str) -> str | None:
    """Return which metadata number is the value of an event: the rating of a rating, the price of a purchase."""
    return _VALUES.get(event_type)
