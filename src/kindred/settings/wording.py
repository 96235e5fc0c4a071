"""What a field expects, in words a person reads."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec.inspect as mi

from kindred.core.config import unknown_key
from kindred.core.errors import ConfigError

_PLAIN = {mi.BoolType: "true or false", mi.StrType: "text", mi.NoneType: '"none"', mi.AnyType: "any value"}
_NUMBERS = {mi.IntType: "a whole number", mi.FloatType: "a number"}
_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


def expected(kind: Any) -> str:
    """Say what values a type takes, such as `a whole number, at least 1`."""
    return _said(mi.type_info(kind))


def _said(info: mi.Type) -> str:
    if isinstance(info, mi.UnionType):
        return " or ".join(_said(part) for part in sorted(info.types, key=lambda t: isinstance(t, mi.NoneType)))
    if isinstance(info, mi.IntType | mi.FloatType):
        bounds = [f"{word} {getattr(info, name)}" for name, word in _BOUNDS if getattr(info, name) is not None]
        return " ".join([_NUMBERS[type(info)], *([f"({' and '.join(bounds)})"] if bounds else [])])
    if isinstance(info, mi.LiteralType):
        return "one of " + ", ".join(repr(value) for value in sorted(info.values, key=str))
    if isinstance(info, mi.EnumType):
        return "one of " + ", ".join(repr(member.value) for member in info.cls)
    if isinstance(info, mi.DictType):
        return f"a table of {_plural(info.value_type)}"
    if isinstance(info, mi.CollectionType):
        return f"a list of {_plural(info.item_type)}"
    if isinstance(info, mi.Metadata):
        return _said(info.type)
    return _PLAIN.get(type(info), type(info).__name__.removesuffix("Type").lower())


def _plural(info: mi.Type) -> str:
    return {mi.IntType: "whole numbers", mi.FloatType: "numbers", mi.StrType: "texts", mi.StructType: "tables"}.get(
        type(info), _said(info)
    )


def takes_text(kind: Any) -> bool:
    """Say whether a type takes any text as it stands."""
    info = mi.type_info(kind)
    parts = info.types if isinstance(info, mi.UnionType) else (info,)
    return any(isinstance(part, mi.StrType | mi.LiteralType | mi.EnumType) for part in parts)


def takes_list(kind: Any) -> bool:
    """Say whether a type takes a list."""
    info = mi.type_info(kind)
    parts = info.types if isinstance(info, mi.UnionType) else (info,)
    return any(isinstance(part, mi.CollectionType) for part in parts)


def normalised(raw: Any, kind: Any, key: str) -> Any:
    """Return a value with `"none"` as None wherever that is allowed; raise ConfigError for unknown keys inside."""
    return _inside(raw, mi.type_info(kind), key)


def _inside(raw: Any, info: mi.Type, key: str) -> Any:
    if isinstance(info, mi.Metadata):
        return _inside(raw, info.type, key)
    if isinstance(info, mi.UnionType):
        if (
            isinstance(raw, str)
            and raw.strip().lower() == "none"
            and any(isinstance(t, mi.NoneType) for t in info.types)
        ):
            return None
        others = [part for part in info.types if not isinstance(part, mi.NoneType)]
        return _inside(raw, others[0], key) if len(others) == 1 else raw
    if isinstance(raw, Mapping) and isinstance(info, mi.DictType):
        return {name: _inside(value, info.value_type, f"{key}.{name}") for name, value in raw.items()}
    if isinstance(raw, Mapping) and isinstance(info, mi.StructType):
        known = {field.encode_name: field.type for field in info.fields}
        for name in raw:
            if name not in known:
                raise ConfigError(f"{key}.{name}: {unknown_key(name, known)}")
        return {name: _inside(value, known[name], f"{key}.{name}") for name, value in raw.items()}
    if isinstance(raw, list) and isinstance(info, mi.VarTupleType | mi.ListType):
        return [_inside(value, info.item_type, f"{key}[{number}]") for number, value in enumerate(raw)]
    return raw


def finite(value: Any) -> bool:
    """Say whether no number inside a value is NaN or infinite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(finite(part) for part in value.values())
    if isinstance(value, list | tuple):
        return all(finite(part) for part in value)
    return True
