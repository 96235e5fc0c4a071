"""`kindred doctor` says in plain words what is wrong."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.cli.stand_in import NOW, GivenAnswers, given_app, memory_stores, opening, shown

from kindred.app.sections import SCHEMA
from kindred.app.stores import Stores
from kindred.cli import diagnosis
from kindred.cli.exits import Exit
from kindred.cli.findings import Finding, Level
from kindred.cli.main import run
from kindred.cli.user_diagnosis import look_at_user
from kindred.core.bundle import Manifest
from kindred.core.clock import DAY
from kindred.core.errors import BundleCorrupt, ConfigError, StoreUnavailable
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.core.trace import StageTrace
from kindred.features.groups import user_key
from kindred.features.users import UserRecord, encode_user
from kindred.ports.interactions import InteractionRow
from kindred.ports.log import DeadLetter
from kindred.ports.rules import RuleVersion
from kindred.ports.state import StateRecord, StateWrite
from kindred.settings.load import load_settings


@pytest.fixture
async def stores(home: Path) -> Stores:
    return await memory_stores(home)


def levels(found: list[Finding]) -> dict[str, Level]:
    return {finding.about: finding.level for finding in found}


def said(found: list[Finding]) -> str:
    return " | ".join(f"{finding.said} -> {finding.fix}" for finding in found)


async def publish(stores: Stores, created: int, n_items: int = 10) -> None:
    folder = await stores.models.stage()
    (folder / "array").write_bytes(b"1")
    await stores.models.publish(folder, Manifest(version="b1", created=created, n_items=n_items))


async def remember(stores: Stores, user: str, items: list[int], values: list[float]) -> None:
    record = UserRecord(
        types=["rating"],
        items=np.array(items, "<i4").tobytes(),
        timestamps=np.full(len(items), NOW, "<i8").tobytes(),
        codes=np.zeros(len(items), np.uint8).tobytes(),
        values=np.array(values, "<f4").tobytes(),
        seen=np.array(sorted(items), "<i4").tobytes(),
        interactions=len(items),
    )
    place = Position(0, 0, 0)
    await stores.state.write([StateWrite(user_key(user), StateRecord(place, encode_user(record)))], place)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (found,) = diagnosis.look_at_home(tmp_path / "none")
    assert found.level is Level.TROUBLE
    assert "kindred import --sample" in found.fix
    (tmp_path / "file").write_text("")
    assert "is a file" in diagnosis.look_at_home(tmp_path / "file")[0].said


@pytest.mark.parametrize(("free", "level"), [(2**20, Level.TROUBLE), (2**30, Level.ADVICE), (2**40, Level.OK)])
def test_disk_space(home: Path, free: int, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert diagnosis.look_at_home(home)[0].level is level


async def test_a_store_that_is_down_is_named(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse() -> None:
        raise StoreUnavailable("no route to the catalogue")

    monkeypatch.setattr(stores.catalog, "check", refuse, raising=False)
    found = await diagnosis.look_at_stores(stores)
    assert levels(found)["stores.catalog"] is Level.TROUBLE
    assert "no route to the catalogue" in said(found)


async def test_a_log_in_memory_cannot_hold_its_promise(stores: Stores) -> None:
    found = await diagnosis.look_at_stores(stores)
    assert levels(found)["stores.event_log"] is Level.ADVICE
    assert "not durable" in said(found)


async def test_data(stores: Stores) -> None:
    assert "no item to recommend" in said(await diagnosis.look_at_data(stores))
    await stores.catalog.upsert([Item(item_id="i1")], NOW)
    assert "nobody has done anything" in said(await diagnosis.look_at_data(stores))
    row = InteractionRow(b"0" * 16, "u1", 0, "view", NOW, float("nan"))
    await stores.interactions.add([row], Position(0, 0, 0))
    assert "1 interactions of 1 users" in said(await diagnosis.look_at_data(stores))


async def test_bundle(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "kindred train" in said(await diagnosis.look_at_bundle(stores, NOW))
    await publish(stores, NOW - 2 * DAY)
    assert "2 days ago" in said(await diagnosis.look_at_bundle(stores, NOW))
    (old,) = await diagnosis.look_at_bundle(stores, NOW + 30 * DAY)
    assert old.level is Level.ADVICE

    async def damaged(_: str) -> Any:
        raise BundleCorrupt("als/factors.npy is cut short")

    monkeypatch.setattr(stores.models, "open", damaged, raising=False)
    (broken,) = await diagnosis.look_at_bundle(stores, NOW)
    assert broken.level is Level.TROUBLE
    assert "rollback" in broken.fix


async def test_consumer_and_dead_letters(stores: Stores) -> None:
    assert levels(await diagnosis.look_at_consumer(stores)) == {"consumer": Level.OK, "dead letters": Level.OK}
    (position,) = await stores.log.append([("u1", b"x")])
    waiting = await diagnosis.look_at_consumer(stores)
    assert levels(waiting)["consumer"] is Level.TROUBLE
    assert "1 events wait and no process folds them" in said(waiting)
    assert await stores.leases.acquire("consumer", "host:1") is not None
    assert "host:1 is 1 events behind" in said(await diagnosis.look_at_consumer(stores))
    await stores.dead_letters.bury([DeadLetter(position, "undecodable: bad byte", b"x")])
    assert "undecodable (1)" in said(await diagnosis.look_at_consumer(stores))


async def test_tokens(stores: Stores, home: Path) -> None:
    assert "401" in said(await diagnosis.look_at_tokens(stores, load_settings(SCHEMA, {}, home)))


async def test_placements(stores: Stores, home: Path) -> None:
    """What holds is said, what cannot hold is trouble, and so is a version that this release cannot use."""
    settings = load_settings(SCHEMA, {}, home)
    assert "as in the settings" in said(await diagnosis.look_at_placements(stores, settings))
    await stores.rules.append(RuleVersion(version=1, created=NOW), b'{"home": {"count": 10}}')
    assert "version 1 says what holds for home" in said(await diagnosis.look_at_placements(stores, settings))
    await stores.rules.append(RuleVersion(version=2, created=NOW), b'{"home": {"count": 50, "ranked": 20}}')
    found = await diagnosis.look_at_placements(stores, settings)
    assert levels(found) == {"placements.home.count": Level.TROUBLE}
    await stores.rules.append(RuleVersion(version=3, created=NOW), b'{"home": {"count": "many"}}')
    with pytest.raises(ConfigError, match="version 3 of the placements cannot be used"):
        await diagnosis.look_at_placements(stores, settings)


async def test_an_unknown_user_is_told_from_one_not_yet_folded(stores: Stores, home: Path) -> None:
    await publish(stores, NOW)
    app: Any = given_app(
        GivenAnswers([shown(1, "popular")], "cold_start_user"), stores, load_settings(SCHEMA, {}, home)
    )
    found = await look_at_user(app, "u1")
    assert "no event of 'u1' has ever arrived" in said(found)
    assert "no item of 1 is personal: 1 from popular" in said(found)
    assert "counts as new" in said(found)
    row = InteractionRow(b"0" * 16, "u1", 0, "view", NOW, float("nan"))
    await stores.interactions.add([row], Position(0, 0, 0))
    assert "not folded yet" in said(await look_at_user(app, "u1"))


async def test_a_user_of_dislikes_newer_than_the_bundle(stores: Stores, home: Path) -> None:
    await publish(stores, NOW, n_items=2)
    await remember(stores, "u1", [5, 6], [1.0, 1.5])
    app: Any = given_app(GivenAnswers([shown(1, "popular")]), stores, load_settings(SCHEMA, {}, home))
    found = said(await look_at_user(app, "u1"))
    assert "all of them dislikes" in found
    assert "2 of the user's items came after the bundle" in found


async def test_a_failed_source_is_named(stores: Stores, home: Path) -> None:
    await publish(stores, NOW)
    await remember(stores, "u1", [1, 2, 3, 4, 5], [5.0] * 5)
    answers = GivenAnswers([shown(1), shown(2, "popular")])
    answers.stages = [
        StageTrace(stage="als", kind="source", error="TimeoutError: late"),
        StageTrace(stage="item_item", kind="source", left=0),
    ]
    app: Any = given_app(answers, stores, load_settings(SCHEMA, {}, home))
    found = await look_at_user(app, "u1")
    assert "the source als failed: TimeoutError: late" in said(found)
    assert "item_item had nothing to propose" in said(found)
    assert "1 of 2 items are personal" in said(found)
    assert "5 interactions are folded" in said(found)


@pytest.mark.parametrize(("spread", "level"), [(0.1, Level.ADVICE), (0.8, Level.OK)])
async def test_a_narrow_day_is_named(stores: Stores, home: Path, spread: float, level: Level) -> None:
    await publish(stores, NOW)
    answers = GivenAnswers([shown(1)])
    answers.stages = [StageTrace(stage="diversity", kind="rerank", detail={"spread": spread})]
    app: Any = given_app(answers, stores, load_settings(SCHEMA, {}, home))
    found = await look_at_user(app, "u1")
    assert levels(found)["exposures"] is level
    assert f"to {spread:.2f}" in said(found)


async def test_nobody_gets_personal_items_without_a_bundle(stores: Stores, home: Path) -> None:
    app: Any = given_app(GivenAnswers(), stores, load_settings(SCHEMA, {}, home))
    assert "kindred train" in said(await look_at_user(app, "u1"))


def test_the_command_answers_in_words_and_in_json(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = asyncio.run(memory_stores(home))
    monkeypatch.setattr("kindred.cli.doctor.opened_stores", opening(stores))
    assert run(["doctor", "--json"]) == Exit.FAILURE
    found = {row["about"]: row["level"] for row in json.loads(capsys.readouterr().out)}
    assert found["bundle"] == "trouble"
    assert found["settings"] == "ok"
    assert run(["doctor"]) == Exit.FAILURE
    assert "kindred train" in capsys.readouterr().out


def test_settings_that_cannot_be_read_are_the_first_finding(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "kindred.toml").write_text("[server]\nprot = 1\n[stores]\nstate = 3\n")
    assert run(["doctor", "--json"]) == Exit.FAILURE
    found = json.loads(capsys.readouterr().out)
    assert [row["about"] for row in found] == ["settings", "settings"]


def test_one_broken_store_hides_nothing_else(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse() -> Any:
        raise StoreUnavailable("history is locked")

    stores = asyncio.run(memory_stores(home))
    monkeypatch.setattr(stores.interactions, "counts", refuse, raising=False)
    monkeypatch.setattr("kindred.cli.doctor.opened_stores", opening(replace(stores)))
    assert run(["doctor", "--json"]) == Exit.FAILURE
    found = {row["about"]: row["said"] for row in json.loads(capsys.readouterr().out)}
    assert found["catalogue"] == "history is locked"
    assert "consumer" in found
