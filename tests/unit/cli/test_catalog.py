"""`kindred catalog sync`: a file of all items."""

import asyncio
import json
from pathlib import Path

import pytest

from kindred.cli.exits import Exit
from kindred.cli.main import run
from kindred.cli.session import opened_stores, read_settings
from kindred.core.event import ItemUpserted, decode_event
from kindred.core.position import START


async def upserts() -> list[ItemUpserted]:
    """Return the items' events in the log."""
    async with opened_stores(read_settings()) as stores:
        found = [decode_event(record.data) for record in await stores.log.read(START, 100)]
        return [event for event in found if isinstance(event, ItemUpserted)]


def test_a_file_of_lines_or_one_list_is_written_to_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [{"item_id": f"i{n}", "title": "T", "category": "c"} for n in range(3)]
    lines, listed = tmp_path / "items.jsonl", tmp_path / "items.json"
    lines.write_text("\n".join(map(json.dumps, items)) + "\n\n")
    listed.write_text(json.dumps(items))
    assert run(["catalog", "sync", str(lines), "--dry-run", "--json"]) == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["status"], said["added"], said["examples"]["added"]) == ("dry_run", 3, ["i0", "i1", "i2"])
    assert asyncio.run(upserts()) == []
    assert run(["catalog", "sync", str(listed)]) == Exit.OK
    assert "3 added, 0 changed, 0 switched off" in capsys.readouterr().out
    assert [event.item.item_id for event in asyncio.run(upserts())] == ["i0", "i1", "i2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"item_id": "a"}\n{"item_id": "b", "titel": "x"}\n', "line 2/titel: unknown; did you mean `title`?"),
        ('{"item_id": "a"}\n\n{"title": "x"}\n', "line 3/item_id: is required"),
        ('{"item_id": "a"}\n{"item_id": ', "line 2: is not valid JSON"),
        ('[{"item_id": "a"}, {"item_id": "a"}]', "items/1/item_id: 'a' is given twice"),
        ("item_id,title\na,b\n", "the file has to hold JSON lines, an item to a line, or one JSON list"),
        ("[]", "has no item"),
    ],
)
def test_a_broken_file_changes_nothing_and_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text(text)
    assert run(["catalog", "sync", str(file)]) == Exit.USAGE
    assert said in capsys.readouterr().err
    assert asyncio.run(upserts()) == []


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "sync", "nowhere.jsonl"]) == Exit.FAILURE
    assert "nowhere.jsonl" in capsys.readouterr().err
