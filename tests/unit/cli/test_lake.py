"""`kindred lake` keeps to `[lake]` of the settings."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.unit.cli.stand_in import memory_stores, opening

from kindred.cli.exits import Exit
from kindred.cli.main import run
from kindred.core.event import Interaction, encode_event

LONG_AGO = 1_700_000_000_000


def test_the_lake_is_written_and_compacted_as_configured(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six records in steps of two are three files, of which compaction leaves one; the next keeps none for readers."""
    monkeypatch.setenv("KINDRED_LAKE_STEP_ROWS", "2")
    monkeypatch.setenv("KINDRED_LAKE_KEEP_REPLACED", "0")
    stores = asyncio.run(memory_stores(home))
    monkeypatch.setattr("kindred.cli.lake.opened_stores", opening(stores))
    events = [
        Interaction(
            event_id=f"e{n}", user_id="ann", item_id="i", event_type="view", timestamp=LONG_AGO, ingested_at=LONG_AGO
        )
        for n in range(6)
    ]
    asyncio.run(stores.log.append([(event.user_id, encode_event(event)) for event in events]))
    assert run(["lake", "write", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["files"] == 3
    assert run(["lake", "compact", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["files_after"] == 1
    assert run(["lake", "compact"]) == Exit.OK
    assert len(list(stores.lake.rglob("*.parquet"))) == 1
