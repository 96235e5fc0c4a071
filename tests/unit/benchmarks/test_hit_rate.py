"""The trace of the hit rate counts a stale answer of every kind, and none where there is none."""

from collections import Counter

import pytest
from benchmarks import hit_rate
from benchmarks.hit_rate import Replay, Step
from tests.unit.recommend.world import NOW, build

from kindred.recommend.config import RecommendConfig
from kindred.recommend.reserves.config import ReservesConfig
from kindred.recommend.reserves.reserve import Grade

TRACE = [Step(NOW + 1_000 * n, "u1", f"i{n}", 5.0, n == 0, n % 3 == 2) for n in range(30)]


@pytest.fixture
async def played(tmp_path, monkeypatch):
    """Return a replay, before its trace is played, in which an item is sold out behind every answer."""
    monkeypatch.setattr(hit_rate, "SELLS_OUT", 1)
    config = RecommendConfig(exploration=0.0, seed=7, trace_share=0.0)
    platform = await build(tmp_path, config=config, reserves=ReservesConfig(enabled=True))
    return Replay(platform, platform.clock)


async def test_an_honest_trace_has_warm_answers_and_no_stale_one(played):
    await played.play(TRACE, ahead=False)
    assert Counter(grade for _, grade, _ in played.asked) == {"miss": 1, "warm": 10}
    assert not played.stale.total()
    assert hit_rate.share(played, "fresh", "warm").startswith("90.9% ")


async def test_answers_from_an_older_version_are_counted(played):
    played.app.serving._reserves._grade = lambda reserve, request: Grade.FRESH
    await played.play(TRACE, ahead=False)
    assert played.stale["version"] == 10


async def test_answers_ranked_by_a_record_that_was_left_lying_are_counted(played):
    runner, first = played.app.serving._reserves._runner, []
    ask = runner.ask

    async def asked(funnel, query, recorder):
        await ask(funnel, query, recorder)
        first.append(query.scratch["record"])
        query.scratch["record"] = first[0]

    runner.ask = asked
    await played.play(TRACE, ahead=False)
    assert played.stale["version"] == 10


async def test_answers_that_show_what_live_masks_forbid_are_counted(played):
    played.app.serving._reserves._runner.admit = lambda funnel, query, candidates, recorder: candidates
    await played.play(TRACE, ahead=False)
    assert not played.stale["version"]
    assert played.stale["known"] > 0
    assert played.stale["sold out"] > 0


async def test_what_is_ranked_ahead_answers_the_first_request(played):
    again = [step._replace(time=step.time + 20 * 3_600_000) for step in TRACE]
    await played.play([*TRACE, *again], ahead=True)
    grades = [grade for _, grade, _ in played.asked]
    assert (grades[0], grades[11], played.stale.total()) == ("miss", "warm", 0)
