"""`kindred token` and `kindred models`, over memory stores."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.unit.cli.stand_in import memory_stores, opening

from kindred.app.stores import Stores
from kindred.cli.exits import Exit
from kindred.cli.main import run
from kindred.core.bundle import DataWindow, Manifest


@pytest.fixture
def stores(home: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    opened = asyncio.run(memory_stores(home))
    monkeypatch.setattr("kindred.cli.tokens.opened_stores", opening(opened))
    monkeypatch.setattr("kindred.cli.models.opened_stores", opening(opened))
    return opened


async def publish(stores: Stores, version: str, created: int) -> None:
    folder = await stores.models.stage()
    (folder / "array").write_bytes(b"1")
    window = DataWindow(interactions=1234)
    await stores.models.publish(folder, Manifest(version=version, created=created, n_items=7, window=window))


def test_a_new_token_stands_alone_on_stdout(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "create", "--scopes", "read, write", "--name", "shop"]) == Exit.OK
    text = capsys.readouterr().out
    assert text.startswith("kd_")
    assert text.count("\n") == 1
    (kept,) = asyncio.run(stores.tokens.tokens())
    assert (kept.scopes, kept.name) == (("read", "write"), "shop")
    assert text.strip().rpartition("_")[2].encode() not in kept.digest


def test_tokens_are_listed_and_revoked(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "list"]) == Exit.OK
    assert "No tokens yet" in capsys.readouterr().out
    run(["token", "create"])
    secret = capsys.readouterr().out.strip()
    token_id = secret.split("_")[1]
    assert run(["token", "revoke", token_id]) == Exit.OK
    capsys.readouterr()
    assert run(["token", "list", "--json"]) == Exit.OK
    said = capsys.readouterr().out
    assert secret not in said
    (row,) = json.loads(said)
    assert row["id"] == token_id
    assert row["revoked"]
    assert run(["token", "revoke", token_id]) == Exit.FAILURE
    assert "no live token" in capsys.readouterr().err


def test_models_are_listed_activated_and_rolled_back(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "rollback"]) == Exit.NOT_READY
    asyncio.run(publish(stores, "b1", 1_000))
    capsys.readouterr()
    assert run(["models", "rollback"]) == Exit.CONFLICT
    assert "none to roll back to" in capsys.readouterr().err
    asyncio.run(publish(stores, "b2", 2_000))
    assert run(["models", "rollback"]) == Exit.OK
    assert asyncio.run(stores.models.active()) == "b1"
    assert run(["models", "activate", "b2"]) == Exit.OK
    capsys.readouterr()
    assert run(["models", "list", "--json"]) == Exit.OK
    listed = json.loads(capsys.readouterr().out)
    assert [(row["version"], row["active"]) for row in listed] == [("b2", True), ("b1", False)]
    assert run(["models", "list"]) == Exit.OK
    assert "1,234" in capsys.readouterr().out
    assert run(["models", "activate", "b9"]) == Exit.FAILURE
