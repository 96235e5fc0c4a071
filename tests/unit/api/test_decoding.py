"""Decoding: pointers, nearest names, and that no bytes make anything but a struct or InvalidInput."""

import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.api.bodies import Batch, BatchBody
from kindred.api.decoding import Faults, decode
from kindred.api.schemas.recommendation import RecommendationRequest
from kindred.core.errors import Fault, InvalidInput


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The innermost struct."""

    colour: Literal["red", "green"] = "red"
    size: int = 0


class Tree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct with structs in lists and unions."""

    name: str
    leaves: list[Leaf] = []
    best: Leaf | None = None


def _fault(body: Any, at: str = "") -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        decode(Tree, json.dumps(body).encode(), at)
    (fault,) = caught.value.faults
    return fault.pointer, fault.detail


@pytest.mark.parametrize(
    ("body", "pointer", "word"),
    [
        ({"name": "x", "leaves": [{}, {"colr": 1}]}, "/leaves/1/colr", "`colour`"),
        ({"name": "x", "best": {"sice": 1}}, "/best/sice", "`size`"),
        ({"name": "x", "leaves": [{"colour": "gren"}]}, "/leaves/0/colour", "did you mean green?"),
        ({"name": "x", "leaves": [{"size": "1"}]}, "/leaves/0/size", "must be `int`, is `str`"),
        ({"leaves": []}, "/name", "required"),
        ({"nam": "x"}, "/nam", "`name`"),
        ({"name": "x", "b`c": 1}, "/b`c", "unknown"),
        (5, "", "object"),
    ],
)
def test_pointers_and_nearest_names(body: Any, pointer: str, word: str) -> None:
    found, detail = _fault(body)
    assert found == pointer
    assert word in detail
    assert _fault(body, "/items/7")[0] == f"/items/7{pointer}"


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        found: Any = decode(RecommendationRequest, data)
    except InvalidInput as error:
        found = error.faults[0]
    assert isinstance(found, RecommendationRequest | Fault)


_NAMES = st.sampled_from(["user_id", "count", "filters", "context", "boosts", "x", "a/b"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_decodes_or_is_refused_with_one_pointer_into_it(body: Any) -> None:
    try:
        decode(RecommendationRequest, json.dumps(body).encode())
    except InvalidInput as error:
        (fault,) = error.faults
        parts = [part.replace("~1", "/").replace("~0", "~") for part in fault.pointer.split("/")[1:]]
        for part in parts[:-1]:
            body = body[int(part)] if isinstance(body, list) else body[part]


class Leaves(BatchBody[Batch[Leaf]]):
    """A batch of leaves."""

    field = "leaves"


@given(st.lists(st.sampled_from([({"size": 1}, True), ({"size": "1"}, False), (7, False), ({}, True)]), min_size=1))
def test_each_element_of_a_batch_stands_alone(elements: list[tuple[Any, bool]]) -> None:
    values = [value for value, _ in elements]
    for body, prefix in ((values, ""), ({"leaves": values}, "/leaves")):
        read = Leaves(None).decode_bytes(json.dumps(body).encode())
        assert [each.error is None for each in read.elements] == [good for _, good in elements]
        assert [each.pointer for each in read.elements] == [f"{prefix}/{place}" for place in range(len(values))]
        for each in read.elements:
            assert each.error is None or each.error.faults[0].pointer.startswith(each.pointer)


def test_all_faults_of_a_body_are_told_at_once() -> None:
    faults = Faults("/items/3")
    assert faults.identifier(5, "/a") == "5"
    faults.identifiers(["ok", "", "x" * 129], "/b")
    with pytest.raises(InvalidInput) as caught:
        faults.done()
    assert [fault.pointer for fault in caught.value.faults] == ["/items/3/b/1", "/items/3/b/2"]
    Faults().done()
