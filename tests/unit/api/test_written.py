"""The short way keeps what it wrote of an item where the item itself is kept, and nowhere else."""

import json

import msgspec
from tests.unit.api.test_search_pages import SHOWN

from kindred.api.quick_recommend import _whole
from kindred.recommend.ask import Served

OTHER = msgspec.structs.replace(SHOWN, ordinal=7)


def served(written: dict[int, bytes] | None) -> Served:
    return Served("rec_1", [SHOWN, OTHER], [1.0, 1.0], "standard", [], "m", "0.0.0", 1.0, "home", written=written)


def test_items_are_written_once_into_the_place_that_the_answer_brings() -> None:
    place: dict[int, bytes] = {}
    plain = _whole(served(None))
    assert _whole(served(place)) == plain
    assert list(place) == [0, 7]
    place[7] = b'{"item_id":"as it was"}'
    assert json.loads(_whole(served(place)))["recommendations"][1] == {"item_id": "as it was"}
    assert _whole(served(None)) == plain
