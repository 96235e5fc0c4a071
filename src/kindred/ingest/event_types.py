"""The closed list of event types, and what each one's metadata must hold."""

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from kindred.core.config import Config
from kindred.core.errors import ConfigError
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
LARGEST_VALUE = 1e9
"""The largest rating or price that is folded; its negative is the least."""
LONGEST_TYPE = 64
"""Characters that the name of an event type may have."""

_VALUES = {"rating": "rating", "purchase": "price"}


class EventTypesConfig(Config, frozen=True, kw_only=True):
    """Which events are accepted.

    `types`: more event types, or other metadata rules for a built-in one, by name. `ahead`: seconds that a timestamp
    may be in front of the clock, at most an hour. `metadata_keys` and `metadata_bytes`: the most that `metadata` may
    hold, as JSON.
    """

    types: dict[str, dict[str, NumberRule]] = {}
    ahead: Annotated[int, Meta(ge=0, le=3600)] = 300
    metadata_keys: int = 64
    metadata_bytes: int = 8_192


class EventRules:
    """The configured event types, ready to be asked."""

    def __init__(self, config: EventTypesConfig | None = None, weighted: Iterable[str] = EVENT_WEIGHTS) -> None:
        """Join the built-in types, those with a preference weight (`weighted`), and the configured ones.

        Raises ConfigError for a name that no event may have.
        """
        self.config = config or EventTypesConfig()
        names = {**dict.fromkeys(weighted), **dict.fromkeys(_BUILT_IN), **dict.fromkeys(self.config.types)}
        numbers = {**_BUILT_IN, **self.config.types}
        for name in names:
            if not 0 < len(name) <= LONGEST_TYPE:
                raise ConfigError(f"event type {name[:80]!r}: a name has 1 to {LONGEST_TYPE} characters")
        self._numbers = {name: _foldable(name, numbers.get(name, {})) for name in names}

    @property
    def names(self) -> list[str]:
        """Return the accepted event types, sorted."""
        return sorted(self._numbers)

    def numbers(self, event_type: str) -> Mapping[str, NumberRule] | None:
        """Return the metadata rules of an event type, or None when it is not accepted."""
        return self._numbers.get(event_type)


def _foldable(event_type: str, rules: Mapping[str, NumberRule]) -> Mapping[str, NumberRule]:
    """Narrow the rule of the event's value to what can be folded: what is accepted must never end as a dead letter."""
    name = value_field(event_type)
    if name is None:
        return rules
    rule = rules.get(name, NumberRule(minimum=None))
    least = -LARGEST_VALUE if rule.minimum is None else max(rule.minimum, -LARGEST_VALUE)
    most = LARGEST_VALUE if rule.maximum is None else min(rule.maximum, LARGEST_VALUE)
    return {**rules, name: msgspec.structs.replace(rule, minimum=least, maximum=most)}


def value_field(event_type: str) -> str | None:
    """Return which metadata number is the value of an event: the rating of a rating, the price of a purchase."""
    return _VALUES.get(event_type)
