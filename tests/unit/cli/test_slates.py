"""`kindred recommend`, `similar`, `trending`, `popular`."""

import json

import pytest
from tests.unit.cli.stand_in import GivenAnswers, given_app, opening

from kindred.cli.exits import Exit
from kindred.cli.main import run
from kindred.core.trace import StageTrace
from kindred.recommend.ask import Ask, ListAsk, SimilarAsk


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> GivenAnswers:
    given = GivenAnswers()
    monkeypatch.setattr("kindred.cli.slates.opened_app", opening(given_app(given)))
    return given


def test_recommend_shows_titles_and_reasons(answers: GivenAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recommend", "u1"]) == Exit.OK
    said = capsys.readouterr()
    assert "Film 1" in said.out
    assert "Because you rated Film 9" in said.out
    assert "0.0.7" in said.err


def test_recommend_passes_every_option_on(answers: GivenAnswers) -> None:
    options = (
        "--count 3 --category Drama --category War --tag dark --exclude i7 --min-rating 3.5 --include-seen "
        "--placement home --item i5 --diversity 0.2 --exploration 0 --trace --json"
    )
    assert run(["recommend", "u1", *options.split()]) == Exit.OK
    assert answers.asked == [
        Ask(
            user_id="u1", placement="home", item_id="i5", categories=("Drama", "War"), exclude_seen=False,
            min_rating=3.5, tags=("dark",), exclude_items=("i7",), count=3, diversity=0.2, exploration=0.0,
            prefetch=True, trace=True,
        )
    ]  # fmt: skip


def test_recommend_as_json_is_json_alone(answers: GivenAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    answers.stages = [StageTrace(stage="als", kind="source", left=3)]
    assert run(["recommend", "u1", "--json", "--trace"]) == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert said["recommendations"][0] == {
        "item_id": "i1", "title": "Film 1", "category": "Drama", "score": 0.5, "reason": "Because you rated Film 9",
        "reason_code": "because_you_rated", "anchor_item_id": "i9", "source": "als", "sources": ["als", "popular"],
        "rating": None, "propensity": 1.0,
    }  # fmt: skip
    assert said["trace"]["stages"][0]["stage"] == "als"


def test_what_failed_open_is_said(answers: GivenAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    answers.items, answers.degraded = [], ["under_filled:category"]
    assert run(["recommend", "u1"]) == Exit.OK
    assert "Nothing to show: under_filled:category" in capsys.readouterr().err


def test_trace_is_a_table(answers: GivenAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    answers.stages = [StageTrace(stage="als", kind="source", left=3, error="TimeoutError: late")]
    assert run(["recommend", "u1", "--trace"]) == Exit.OK
    assert "TimeoutError: late" in capsys.readouterr().out


def test_similar(answers: GivenAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["similar", "i1", "--metric", "content", "--category", "War", "--user", "u1", "--json"]) == Exit.OK
    assert answers.asked == [SimilarAsk(item_id="i1", metric="content", category="War", user_id="u1")]
    assert json.loads(capsys.readouterr().out)["similar_items"] == [
        {"item_id": "i3", "title": "Film 3", "category": "Drama", "similarity_score": 0.9, "reason": "Both are dramas"}
    ]
    assert run(["similar", "i1"]) == Exit.OK
    assert "Both are dramas" in capsys.readouterr().out


def test_lists(answers: GivenAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trending", "--category", "Drama", "--window", "7d", "--country", "GB", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["items"][0]["reason"] == "Trending in Drama"
    assert run(["popular", "--count", "5"]) == Exit.OK
    assert "Film 4" in capsys.readouterr().out
    assert answers.asked[0] == ListAsk(kind="trending", category="Drama", country="GB", window="7d", count=10)
    assert (answers.asked[1].kind, answers.asked[1].count) == ("popular", 5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recommend", "a" * 129], "USER: must have 1 to 128 characters"),
        (["recommend", ""], "USER: must have 1 to 128 characters"),
        (["recommend", "u1", "--item", "a\x01b"], "--item: must not contain control characters"),
        (["recommend", "u1", "--exclude", "a" * 129], "--exclude: must have"),
        (["recommend", "u1", "--min-rating", "nan"], "--min-rating is 0 to 1000"),
        (["similar", "a" * 129], "ITEM: must have"),
        (["similar", "i1", "--user", ""], "--user: must have"),
        (["trending", "--country", "Germany"], "--country is two letters"),
    ],
)
def test_bad_words_are_refused(
    words: list[str], said: str, answers: GivenAnswers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == Exit.USAGE
    assert said in " ".join(capsys.readouterr().err.split())
