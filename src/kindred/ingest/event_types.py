"""The closed list of event types: how each one speaks, and what its metadata must hold."""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeGuard

import msgspec
from msgspec import Meta

from kindred.core.config import Config, unknown_key
from kindred.core.errors import ConfigError
from kindred.core.ids import id_fault
from kindred.features.counters import check_name_buckets
from kindred.models.preference import EVENT_WEIGHTS, THRESHOLDS, PreferenceConfig, PreferenceSettings

LARGEST_VALUE = 1e9
"""The largest rating or price that is folded; its negative is the least."""
LONGEST_TYPE = 64
"""Characters that the name of an event type may have."""
MOST_SHOWN = 100
"""Items that one impression may show."""

_NUMBERS = (int, float)
_VALUES = {"rating": "rating", "purchase": "price"}

Polarity: TypeAlias = Literal["positive", "negative", "neutral"]
_Positive = Annotated[float, Meta(gt=0)]


class MetadataRule(Config, frozen=True, kw_only=True):
    """What one key of an event's metadata must hold.

    `type`: number, string, boolean, or ids (a list of ids). `required`: the event is refused without it. `minimum`,
    `maximum`: inclusive bounds of a number, None = none. `whole`: a number without fraction. `max_length`: characters
    of a string. `choices`: the only strings that are taken; empty = any. `max_items`: ids in a list.
    """

    type: Literal["number", "string", "boolean", "ids"] = "number"
    required: bool = False
    minimum: float | None = 0.0
    maximum: float | None = None
    whole: bool = False
    max_length: Annotated[int, Meta(ge=1)] = 1_024
    choices: tuple[str, ...] = ()
    max_items: Annotated[int, Meta(ge=1, le=1_000)] = MOST_SHOWN


class EventTypeConfig(Config, frozen=True, kw_only=True):
    """One event type; what is left out stays as built in, or is the default of a type that is new.

    `weight`: how strongly it speaks for an item, below 0 against it, 0 = not at all; 1 for a new type. `polarity`:
    positive, negative or neutral, where the weight is given without its sign. `half_life`: seconds until it weighs
    half; `preference.half_life` where left out. `threshold`: the least value that counts: of a rating the rating, of a
    purchase the price, of any other the watched share (`watch_duration / total_duration`); without a value it counts.
    `metadata`: the rule of each key; for a built-in type they are added to its own. `other_metadata`: whether keys
    without a rule are taken.
    """

    weight: float | None = None
    polarity: Polarity | None = None
    half_life: _Positive | None = None
    threshold: float | None = None
    metadata: dict[str, MetadataRule] = {}
    other_metadata: bool = True


class EventTypesConfig(Config, frozen=True, kw_only=True):
    """Which events are accepted.

    `types`: more event types, or changes to a built-in one, by name. `ahead`: seconds that a timestamp
    may be in front of the clock, at most an hour. `metadata_keys` and `metadata_bytes`: the most that `metadata` may
    hold, as JSON.
    """

    types: dict[str, EventTypeConfig] = {}
    ahead: Annotated[int, Meta(ge=0, le=3600)] = 300
    metadata_keys: int = 64
    metadata_bytes: int = 8_192


_BUILT_IN: dict[str, dict[str, MetadataRule]] = {
    "rating": {"rating": MetadataRule(required=True, maximum=10.0)},
    "view": {"watch_duration": MetadataRule(), "total_duration": MetadataRule()},
    "purchase": {"price": MetadataRule(), "quantity": MetadataRule()},
    "impression": {"items": MetadataRule(type="ids")},
}


class EventType:
    """One accepted event type: its rules of metadata, ready to be asked."""

    def __init__(self, name: str, config: EventTypeConfig) -> None:
        """Join the configuration of `name` with what is built in; raise ConfigError for what no event could meet."""
        self.name = name
        self.weight = _weight(name, config)
        self.half_life = config.half_life
        self.threshold = THRESHOLDS.get(name) if config.threshold is None else config.threshold
        self.rules = _foldable(name, {**_BUILT_IN.get(name, {}), **config.metadata})
        self.other_metadata = config.other_metadata
        self.required = any(rule.required for rule in self.rules.values())
        for key, rule in self.rules.items():
            _check_rule(f"events.types.{name}.metadata.{key}", key, rule)

    def faults(self, metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what in `metadata` breaks a rule: the key and a sentence for each."""
        if not metadata and not self.required:
            return []
        wrong = []
        for key, rule in self.rules.items():
            value = metadata.get(key)
            if (value is not None or rule.required) and (fault := rule_fault(value, rule)) is not None:
                wrong.append((key, fault))
        if not self.other_metadata:
            extra = [key for key in metadata if key not in self.rules][:20]
            wrong += [(key, unknown_key(key[:200], self.rules) if self.rules else "no key is taken") for key in extra]
        return wrong


class EventRules:
    """The configured event types, ready to be asked."""

    def __init__(self, config: EventTypesConfig | None = None, weighted: Iterable[str] = EVENT_WEIGHTS) -> None:
        """Join the built-in types (`weighted`) and the configured ones.

        Raises ConfigError for a name that no event may have, for two that would be counted as one, and for rules that
        contradict one another.
        """
        self.config = config or EventTypesConfig()
        names = {**dict.fromkeys(weighted), **dict.fromkeys(_BUILT_IN), **dict.fromkeys(self.config.types)}
        for name in names:
            if not 0 < len(name) <= LONGEST_TYPE:
                raise ConfigError(f"event type {name[:80]!r}: a name has 1 to {LONGEST_TYPE} characters")
        check_name_buckets(names)
        self.types = {name: EventType(name, self.config.types.get(name, EventTypeConfig())) for name in names}

    @property
    def names(self) -> list[str]:
        """Return the accepted event types, sorted."""
        return sorted(self.types)

    def preference(self, settings: PreferenceSettings) -> PreferenceConfig:
        """Return how the accepted types speak, with the rest of the preference from `settings`.

        A type that speaks against an item is an opinion, or it could not outweigh what was done before.
        """
        types = self.types.values()
        rest = {field: getattr(settings, field) for field in settings.__struct_fields__}
        against = [each.name for each in types if each.weight < 0 and each.name not in settings.decisive]
        rest["decisive"] = (*settings.decisive, *against)
        rest |= {
            "event_weights": {each.name: each.weight for each in types},
            "half_lives": {each.name: each.half_life for each in types if each.half_life is not None},
            "thresholds": {each.name: each.threshold for each in types if each.threshold is not None},
        }
        return PreferenceConfig(**rest)


def _weight(name: str, config: EventTypeConfig) -> float:
    """Return the signed weight; raise ConfigError where weight and polarity contradict one another."""
    built_in = EVENT_WEIGHTS.get(name, 1.0)
    weight = built_in if config.weight is None else config.weight
    if not math.isfinite(weight):
        raise ConfigError(f"events.types.{name}.weight must be a finite number")
    match config.polarity:
        case "negative":
            return -abs(weight)
        case "neutral" if config.weight:
            raise ConfigError(f"events.types.{name}: a neutral type weighs 0; leave out weight, or polarity")
        case "neutral":
            return 0.0
        case "positive" if weight < 0 and config.weight is not None:
            raise ConfigError(f"events.types.{name}: weight {weight:g} is not positive; leave out polarity or the sign")
        case "positive":
            return abs(weight)
    return weight


def _check_rule(where: str, key: str, rule: MetadataRule) -> None:
    if (fault := id_fault(key)) is not None:
        raise ConfigError(f"{where}: a key {fault}")
    if rule.minimum is not None and rule.maximum is not None and rule.minimum > rule.maximum:
        raise ConfigError(f"{where}: minimum {rule.minimum:g} is over maximum {rule.maximum:g}")


def _foldable(event_type: str, rules: Mapping[str, MetadataRule]) -> Mapping[str, MetadataRule]:
    """Narrow what is folded to what can be: what is accepted must never end as a dead letter."""
    if event_type == "impression":
        items = rules["items"]
        return {**rules, "items": MetadataRule(type="ids", max_items=min(items.max_items, MOST_SHOWN))}
    name = value_field(event_type)
    if name is None:
        return rules
    rule = rules.get(name, MetadataRule(minimum=None))
    least = -LARGEST_VALUE if rule.minimum is None else max(rule.minimum, -LARGEST_VALUE)
    most = LARGEST_VALUE if rule.maximum is None else min(rule.maximum, LARGEST_VALUE)
    return {**rules, name: msgspec.structs.replace(rule, type="number", minimum=least, maximum=most)}


def value_field(event_type: str) -> str | None:
    """Return which metadata number is the value of an event: the rating of a rating, the price of a purchase."""
    return _VALUES.get(event_type)


def completion(metadata: Mapping[str, Any]) -> float:
    """Return which share was watched, 0 to 1: `watch_duration / total_duration`; NaN without two such numbers."""
    watched, total = metadata.get("watch_duration"), metadata.get("total_duration")
    if not _is_number(watched) or not _is_number(total) or total <= 0 or not watched >= 0:
        return math.nan
    return float(min(watched / total, 1.0))


def rule_fault(value: object, rule: MetadataRule) -> str | None:
    """Say what of a metadata value breaks its rule, or None when nothing does."""
    if value is None:
        return "is required for this event type" if rule.required else None
    if rule.type == "number":
        return _number_fault(value, rule)
    match rule.type:
        case "string":
            return _string_fault(value, rule)
        case "boolean":
            return None if isinstance(value, bool) else f"must be true or false, is {json_type(value)}"
        case _:
            return _ids_fault(value, rule)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _number_fault(value: Any, rule: MetadataRule) -> str | None:
    if not _is_number(value):
        return f"must be a number, is {json_type(value)}"
    if not math.isfinite(value):
        return "must be a finite number"
    if rule.whole and value != int(value):
        return "must be a whole number"
    if rule.minimum is not None and value < rule.minimum:
        return f"must be at least {rule.minimum:g}"
    if rule.maximum is not None and value > rule.maximum:
        return f"must be at most {rule.maximum:g}"
    return None


def _string_fault(value: object, rule: MetadataRule) -> str | None:
    if not isinstance(value, str):
        return f"must be a string, is {json_type(value)}"
    if len(value) > rule.max_length:
        return f"must have at most {rule.max_length} characters, has {len(value)}"
    if rule.choices and value not in rule.choices:
        return f"is {value[:64]!r}: {unknown_key(value[:64], rule.choices)}"
    return None


def _ids_fault(value: object, rule: MetadataRule) -> str | None:
    if not isinstance(value, list):
        return f"must be a list of ids, is {json_type(value)}"
    if not 1 <= len(value) <= rule.max_items:
        return f"must have 1 to {rule.max_items} ids, has {len(value)}"
    for place, each in enumerate(value):
        if isinstance(each, bool) or not isinstance(each, str | int):
            return f"must hold ids only: number {place + 1} is {json_type(each)}"
        if (fault := id_fault(str(each))) is not None:
            return f"must hold ids only: number {place + 1} {fault}"
    return None


def json_type(value: object) -> str:
    """Name the JSON type of a value."""
    if value is None:
        return "null"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
