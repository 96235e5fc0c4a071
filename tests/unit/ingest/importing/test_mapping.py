"""Mapping files: their short forms, and what they refuse."""

from pathlib import Path
from typing import Any

import pytest

from kindred.core.errors import ConfigError
from kindred.ingest.importing import load_mapping, parse_mapping, sample_mapping

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "guide" / "mappings"


def table(**changes: Any) -> dict[str, Any]:
    columns = {"user_id": "u", "item_id": "i", "event_type": {"constant": "view"}}
    return {"source": "s", "interactions": {"path": "a.csv", "columns": columns, **changes}}


def refused(raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        parse_mapping(raw, Path())
    return error.value.detail


def test_short_forms_of_columns() -> None:
    raw = table() | {"items": {"path": "b.csv", "columns": {"item_id": "i", "tags": ["a", "b"]}, "attributes": ["x"]}}
    mapping = parse_mapping(raw, Path("data"))
    assert mapping.interactions is not None
    assert mapping.items is not None
    assert mapping.interactions.columns["user_id"].names == ("u",)
    assert mapping.interactions.columns["event_type"].constant == "view"
    assert mapping.items.columns["tags"].names == ("a", "b")
    assert mapping.items.attributes == {"x": "x"}
    assert mapping.base == "data"


def test_unknown_keys_name_the_nearest() -> None:
    assert "`missing_user`" in refused(table(mising_user="drop"))
    assert "`interactions`" in refused({"source": "s", "interaction": {}})
    columns = {"user_id": "u", "item_id": "i", "event_type": "e", "timestmp": "t"}
    assert refused(table(columns=columns)).startswith(
        "interactions.columns.timestmp: unknown; did you mean `timestamp`"
    )


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"source": "s"}, "nothing to import"),
        (table() | {"source": "Not A Name"}, "source"),
        (table() | {"source": "shop\n"}, "source"),
        (table() | {"timezone": "Mars/Base"}, "timezone"),
        (table(columns={"user_id": "u", "item_id": "i"}), "interactions.columns.event_type: missing"),
        (table(columns={"user_id": "u", "item_id": 3, "event_type": "e"}), "interactions.columns.item_id"),
        (
            table(columns={"user_id": {"column": "a", "constant": "b"}, "item_id": "i", "event_type": "e"}),
            "exactly one",
        ),
        (table(path=""), "interactions.path"),
        (table(missing_user="ignore"), "missing_user"),
        (table(events={"fav": "Not An Event"}), "event type"),
        (table(cancellation={"of": "purchase"}), "cancellation"),
        (table(delimiter="||"), "delimiter"),
        (table(timestamp_unit="minutes"), "timestamp_unit"),
        (table() | {"item_tags": {"path": "t", "columns": {"item_id": "i", "tag": "t"}}}, "item_tags: needs [items]"),
    ],
)
def test_refusals_name_the_key(raw: dict[str, Any], said: str) -> None:
    assert said in refused(raw)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text("source = ")
    with pytest.raises(ConfigError, match=r"m\.toml: not a TOML file"):
        load_mapping(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_mapping(tmp_path / "none.toml")


@pytest.mark.parametrize("path", sorted(GUIDE.glob("*.toml")), ids=lambda path: path.stem)
def test_the_guides_mappings_are_valid(path: Path) -> None:
    assert load_mapping(path).source == path.stem


def test_the_sample_has_a_mapping() -> None:
    assert sample_mapping().source == "ml-latest-small"
