"""Bodies into structs, with a JSON pointer for whatever is wrong."""

import re
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from kindred.core.config import nearest, unknown_key
from kindred.core.errors import Fault, InvalidInput
from kindred.core.ids import id_fault

T = TypeVar("T")

_AT = re.compile(r" - at `(\$.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`$", re.DOTALL)
_WRONG = re.compile(r"Expected (.*), got (.*)$", re.DOTALL)


@cache
def _decoder(model: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(model)


def decode(model: type[T], data: bytes | msgspec.Raw, at: str = "") -> T:
    """Read JSON into `model`; `at` is the pointer of what is read within the whole body.

    Raises InvalidInput naming the field: unknown ones with the nearest known name, wrong types with both types.
    """
    if not data:
        raise InvalidInput.at(at, "needs a JSON body")
    try:
        found: T = _decoder(cast(Hashable, model)).decode(data)
    except msgspec.ValidationError as error:
        raise InvalidInput(faults=[fault_of(model, str(error), at)]) from error
    except RecursionError as error:
        raise InvalidInput.at(at, "is nested too deep") from error
    except UnicodeDecodeError as error:
        raise InvalidInput.at(at, "is not valid UTF-8") from error
    except msgspec.DecodeError as error:
        raise InvalidInput.at(at, f"is not valid JSON: {error}") from error
    return found


def fault_of(model: Any, message: str, at: str = "") -> Fault:
    """Turn msgspec's sentence about `model` into a pointer and a sentence of ours."""
    place = _AT.search(message)
    steps = _STEP.findall(place.group(1)) if place else []
    what = message[: place.start()] if place else message
    path = [name or index for name, index in steps if index != "..."]
    pointer = at + "".join(f"/{escape(part)}" for part in path)
    if unknown := _UNKNOWN.match(what):
        name = unknown.group(1)[:200]
        return Fault(f"{pointer}/{escape(name)}", unknown_key(name, _fields(model, path)))
    if missing := _MISSING.match(what):
        return Fault(f"{pointer}/{escape(missing.group(1))}", "is required")
    if what.startswith("Invalid enum value "):
        return Fault(pointer, _choices(model, path, what.removeprefix("Invalid enum value ")))
    if " matching regex " in what and (said := _described(model, path)):
        return Fault(pointer, f"must be {said}")
    if wrong := _WRONG.match(what):
        return Fault(pointer, f"must be {wrong.group(1)}, is {wrong.group(2)}")
    return Fault(pointer, what.replace("Expected ", "must be ", 1))


def escape(part: str) -> str:
    """Return a name as it stands in a JSON pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


def _fields(model: Any, path: list[str]) -> list[str]:
    """Return the names of the fields of all structs that may stand at `path`."""
    found = [kind for kind in _types_at(model, path) if isinstance(kind, inspect.StructType)]
    return [field.encode_name for kind in found for field in kind.fields]


def _choices(model: Any, path: list[str], given: str) -> str:
    found = [kind for kind in _types_at(model, path) if isinstance(kind, inspect.LiteralType)]
    values = [str(value) for kind in found for value in kind.values]
    near = nearest(given.strip("'\""), values)
    return f"must be one of {', '.join(values)}; is {given}" + (f"; did you mean {near}?" if near else "")


def _described(model: Any, path: list[str]) -> str | None:
    """Return what a struct says of the form of its field at `path`."""
    holders = [kind for kind in _types_at(model, path[:-1]) if isinstance(kind, inspect.StructType)]
    kinds = [field.type for kind in holders for field in kind.fields if path and field.encode_name == path[-1]]
    kinds += [inner for kind in kinds if isinstance(kind, inspect.UnionType) for inner in kind.types]
    found = [kind.extra_json_schema for kind in kinds if isinstance(kind, inspect.Metadata)]
    return next((str(each["description"]) for each in found if each and "description" in each), None)


def _types_at(model: Any, path: list[str]) -> list[inspect.Type]:
    kinds = _alternatives(inspect.type_info(model))
    for part in path:
        kinds = [inner for kind in kinds for inner in _step(kind, part)]
    return kinds


def _alternatives(kind: inspect.Type) -> list[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        return _alternatives(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [inner for each in kind.types for inner in _alternatives(each)]
    return [kind]


def _step(kind: inspect.Type, part: str) -> list[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        return [inner for f in kind.fields if f.encode_name == part for inner in _alternatives(f.type)]
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        return _alternatives(kind.item_type)
    return []


class Faults:
    """Collects what is wrong with one body, so that all of it is told at once."""

    def __init__(self, at: str = "") -> None:
        """Start with nothing wrong; `at` is the pointer of the body within a larger one."""
        self.at = at
        self.found: list[Fault] = []

    def add(self, pointer: str, detail: str) -> None:
        """Remember one thing that is wrong; `pointer` is relative to the body."""
        self.found.append(Fault(self.at + pointer, detail))

    def identifier(self, value: str | int, pointer: str) -> str:
        """Read an id, a number as its text; remember what breaks the rule of ids."""
        text = str(value)
        fault = id_fault(text)
        if fault is not None:
            self.add(pointer, fault)
        return text

    def identifiers(self, values: Sequence[str | int], pointer: str) -> tuple[str, ...]:
        """Read a list of ids."""
        return tuple(self.identifier(value, f"{pointer}/{place}") for place, value in enumerate(values))

    def done(self) -> None:
        """Raise InvalidInput when anything was wrong."""
        if self.found:
            raise InvalidInput(faults=self.found)
