"""How the framework reads a body: strictly, by the struct that also documents it."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar, get_args

import msgspec
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.typing import FieldDefinition

from kindred.api.decoding import decode
from kindred.core.errors import InvalidInput

T = TypeVar("T")

SINGLE_LIMIT = 1 << 20
"""Bytes that the body of a single call may have."""
BATCH_LIMIT = 8 << 20
"""Bytes that the body of a batch may have."""
TOGETHER = 8
"""Questions of one batch that are answered at the same time: other calls must come through between them."""
BATCH_ELEMENTS = 1_000
"""Elements that a batch may have."""


class StrictBody(AbstractDTO[T], Generic[T]):
    """Reads a body with `decode` and documents it with its own struct.

    A subclass with `plain` reads plain dicts and lists for a handler that checks every field itself.
    """

    plain: ClassVar[bool] = False

    def decode_bytes(self, value: bytes) -> Any:
        """Read the body; raise InvalidInput naming what is wrong."""
        return decode(Any if self.plain else self.model_type, value)

    def decode_builtins(self, value: dict[str, Any]) -> Any:
        """Refuse forms: bodies are JSON."""
        raise InvalidInput.at("", "needs a JSON body")

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """Prepare nothing: the struct is its own schema."""

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Any:
        """Return the struct's schema."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[Any, None, None]:
        """Name no fields: none is transferred one by one."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Say that nothing is nested."""
        return False


@dataclass(frozen=True, slots=True)
class Element(Generic[T]):
    """One element of a batch: what it decodes to, or why it does not."""

    value: T | None
    error: InvalidInput | None
    pointer: str


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """The elements of a batch in order, each read alone, so that a bad one never loses its neighbours.

    `kind`: what an element is; `parts`: their JSON, read when `elements` comes to them; `at`: where the list stands.
    """

    kind: Any
    parts: list[msgspec.Raw]
    at: str

    def __len__(self) -> int:
        """Return how many elements there are."""
        return len(self.parts)

    @property
    def elements(self) -> Iterator[Element[T]]:
        """Read one element after another."""
        return (_element(self.kind, part, f"{self.at}/{place}") for place, part in enumerate(self.parts))


class BatchBody(StrictBody[T], Generic[T]):
    """Reads `{"<field>": [...]}` or the bare list into a `Batch`; subclasses name the field, and how many it holds."""

    field: ClassVar[str]
    most: ClassVar[int] = BATCH_ELEMENTS

    def decode_bytes(self, value: bytes) -> Any:
        """Read the batch; raise InvalidInput when it is no list, empty, or has more elements than it may."""
        first = value.lstrip()[:1]
        bare = first == b"["
        if first not in (b"[", b"{"):
            raise InvalidInput.at("", f'must be a JSON list, or `{{"{self.field}": [...]}}`')
        at = "" if bare else f"/{self.field}"
        parts = decode(list[msgspec.Raw], value) if bare else self._wrapped(value)
        if not 1 <= len(parts) <= self.most:
            raise InvalidInput.at(at, f"must have 1 to {self.most} elements, has {len(parts)}")
        kind = Any if self.plain else get_args(self.model_type)[0]
        return Batch(kind, parts, at)

    def _wrapped(self, value: bytes) -> list[msgspec.Raw]:
        found: list[msgspec.Raw] = getattr(decode(_wrapper(self.field), value), self.field)
        return found

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Any:
        """Return the schema of the object that holds the list."""
        element = FieldDefinition.from_annotation(get_args(field_definition.annotation)[0])
        listed = Schema(
            type=OpenAPIType.ARRAY,
            items=schema_creator.for_field_definition(element),
            min_items=1,
            max_items=cls.most,
        )
        return Schema(
            type=OpenAPIType.OBJECT,
            properties={cls.field: listed},
            required=[cls.field],
            additional_properties=False,
            description="The bare list is accepted too.",
        )


@cache
def _wrapper(field: str) -> type[msgspec.Struct]:
    return msgspec.defstruct("Wrapped", [(field, list[msgspec.Raw])], forbid_unknown_fields=True, frozen=True)


def _element(kind: Any, part: msgspec.Raw, pointer: str) -> Element[Any]:
    try:
        return Element(decode(kind, part, pointer), None, pointer)
    except InvalidInput as error:
        return Element(None, error, pointer)
