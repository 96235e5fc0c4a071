"""`kindred explain`."""

import json
from types import SimpleNamespace

import pytest
from tests.unit.cli.stand_in import opening

from kindred.cli.exits import Exit
from kindred.cli.main import run
from kindred.core.trace import ItemTrace, StageTrace, Trace
from kindred.recommend.why_not import Proposal, WhyNot

TRACE = Trace(
    request_id="rec_1",
    stages=[StageTrace(stage="als", kind="source", left=7)],
    items=[ItemTrace(item=3, score=0.5, sources=["als"], parts={"als": 0.4, "popular": 0.1})],
    bundle="b1",
    exact=False,
    cause="the bundle was b0, is now b1",
    placements_version=4,
)
WHY = WhyNot(
    request_id="rec_1",
    item_id="i9",
    outcome="outranked",
    said="It was ranked 31 of 300; the 20 slots went to others.",
    bundle="b1",
    state_version="0.0.7",
    proposed_by=[Proposal(source="als", place=31, of=150)],
    asked_sources={"als": 150, "popular": 40},
    place=31,
    ranked=300,
    score=0.25,
    lowest_shown=0.5,
    why=ItemTrace(item=9, score=0.25, features={"item.users": -1.5}),
)


class Given:
    async def trace(self, request_id: str) -> Trace:
        assert request_id == "rec_1"
        return TRACE

    async def why_not(self, request_id: str, item_id: str) -> WhyNot:
        assert (request_id, item_id) == ("rec_1", "i9")
        return WHY


class Items:
    async def by_ordinals(self, ordinals: list[int]) -> list[SimpleNamespace]:
        return [SimpleNamespace(item=SimpleNamespace(item_id=f"i{each}", title=f"Film {each}")) for each in ordinals]


@pytest.fixture(autouse=True)
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    app = SimpleNamespace(serving=Given(), stores=SimpleNamespace(catalog=Items()))
    monkeypatch.setattr("kindred.cli.explaining.opened_app", opening(app))


def test_an_answer_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "rec_1"]) == Exit.OK
    said = capsys.readouterr()
    assert "Film 3" in said.out
    assert "als 0.40, popular 0.10" in said.out
    assert "the bundle was b0" in said.err
    assert "asked under version 4 of the placements" in said.err


def test_what_is_missing_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "rec_1", "--item", "i9"]) == Exit.OK
    said = capsys.readouterr()
    assert "ranked 31 of 300" in said.err
    assert "item.users -1.50" in said.err
    assert "of the placements" not in said.err
    assert "popular" in said.out


def test_both_come_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "rec_1", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["items"][0]["parts"] == {"als": 0.4, "popular": 0.1}
    assert run(["explain", "rec_1", "--item", "i9", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["outcome"] == "outranked"
