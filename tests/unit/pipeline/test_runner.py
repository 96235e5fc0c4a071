"""The Runner over fake stages: order, waves, deadlines, policies, checks, refill, ties, truth of the trace."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.pipeline.stages import Fake, candidates, closed, in_order, query, reason, score_by

from kindred.core.candidates import Candidates
from kindred.core.errors import ConfigError, NotFound
from kindred.core.query import UserFacts
from kindred.pipeline.checks import StageFault
from kindred.pipeline.funnel import Deadlines, Funnel
from kindred.pipeline.runner import Runner
from kindred.pipeline.stages import Order
from kindred.ports.telemetry import NoMeter

SHORT = Deadlines(facts=40, sources=40, features=40, reasons=40, effects=40)


def funnel(**stages) -> Funnel:
    given_stages = {"sources": [Fake("a", candidates(1, 2, 3, 4))], "deadlines": SHORT, **stages}
    return Funnel(bundle="b1", **given_stages)


async def run(asked=None, **stages):
    return await Runner().run(funnel(**stages), asked or query())


def shown(slate) -> list[int]:
    return slate.candidates.items.tolist()


def notes(slate, name):
    return [note for note in slate.trace.stages if note.stage == name]


async def test_stages_run_in_the_order_of_the_funnel():
    log: list[str] = []

    def stage(name, result):
        return Fake(name, result, log=log)

    keep = lambda q, c: np.ones(len(c), np.bool_)  # noqa: E731
    columns = lambda q, c: {"x": np.zeros(len(c), np.float32)}  # noqa: E731
    slate = await run(
        facts=[stage("facts", {"facts": UserFacts(known=True)})],
        sources=[stage("source", candidates(1, 2, 3))],
        eligibility=[stage("eligible", keep)],
        coarse=[stage("coarse", score_by({}, "coarse"))],
        hydrators=[stage("hydrator", columns)],
        fine=[stage("fine", score_by({2: 1.0}))],
        filters=[stage("filter", keep)],
        rerankers=[stage("first", in_order), stage("second", in_order)],
        explainer=stage("explainer", lambda q, s: [reason()] * len(s.candidates)),
    )
    order = ["facts", "source", "eligible", "coarse", "hydrator", "fine", "filter", "first", "second", "explainer"]
    assert [name for name in log if not name.endswith("+")] == order
    assert [note.stage for note in slate.trace.stages] == order
    assert shown(slate) == [2, 1, 3]
    assert all(note.error is None and note.milliseconds >= 0 for note in slate.trace.stages)
    assert (slate.trace.request_id, slate.trace.bundle, slate.trace.state_version) == ("rec_1", "b1", "0.0.-1")


async def test_facts_and_scratch_reach_later_stages():
    asked = query()
    facts = UserFacts(known=True, interactions=7)
    await run(asked, facts=[Fake("f", {"facts": facts, "weather": "rain"})])
    assert asked.facts is facts
    assert asked.scratch["weather"] == "rain"
    slate = await run(asked, facts=[Fake("f", {"facts": "none"})])
    assert slate.degraded == ["f"]
    assert asked.facts is facts


async def test_sources_run_at_once():
    arrived = asyncio.Barrier(3)

    async def meet(name, *items):
        await arrived.wait()
        return candidates(*items)

    class Meeting(Fake):
        async def propose(self, q):
            return await meet(self.name, *self.result)

    slate = await run(query(6), sources=[Meeting("a", (1, 2)), Meeting("b", (3,)), Meeting("c", (4,))])
    assert sorted(shown(slate)) == [1, 2, 3, 4]
    assert slate.degraded == ["under_filled"]


async def test_a_late_source_fails_open_and_is_told():
    slow = Fake("slow", candidates(9), delay=5)
    slate = await run(sources=[Fake("a", candidates(1, 2, 3)), slow])
    assert shown(slate) == [1, 2, 3]
    assert slate.degraded == ["slow"]
    assert [note.error for note in notes(slate, "slow")] == ["deadline passed"]
    assert slow.log == ["slow+"]


async def test_a_late_closed_stage_fails_the_request():
    with pytest.raises(StageFault, match=r"slow: .*not ready within 40 ms"):
        await run(sources=[closed("slow", candidates(9), delay=5)])


async def test_a_late_explainer_costs_the_reasons_alone():
    slate = await run(explainer=Fake("why", [reason()] * 3, delay=5))
    assert (shown(slate), slate.reasons, slate.degraded) == ([1, 2, 3], [], ["why"])


@pytest.mark.parametrize("error", [RuntimeError("boom"), NotFound("no such thing"), KeyError("x")])
async def test_a_failing_stage_fails_by_its_policy(error):
    slate = await run(sources=[Fake("a", candidates(1, 2, 3)), Fake("bad", error)])
    assert slate.degraded == ["bad"]
    assert type(error).__name__ in notes(slate, "bad")[0].error
    expected = NotFound if isinstance(error, NotFound) else StageFault
    with pytest.raises(expected):
        await run(sources=[Fake("a", candidates(1)), closed("bad", error)])


@pytest.mark.parametrize(
    "place", ["facts", "sources", "eligibility", "coarse", "hydrators", "fine", "filters", "rerankers"]
)
async def test_a_broken_switch_fails_by_its_policy(place):
    broken = [Fake("switch", None, on=RuntimeError("off"))]
    extra = [Fake("a", candidates(1, 2, 3)), *broken] if place == "sources" else broken
    slate = await run(**{place: extra})
    assert (shown(slate), slate.degraded) == ([1, 2, 3], ["switch"])
    broken[0].policy = closed("", None).policy
    with pytest.raises(StageFault):
        await run(**{place: extra})


async def test_two_failures_leave_no_forgotten_task(caplog):
    with pytest.raises(StageFault):
        await run(sources=[closed("a", RuntimeError("1")), closed("b", RuntimeError("2"))])
    await asyncio.sleep(0)
    assert not caplog.records


async def test_a_cancelled_request_leaves_nothing_running():
    slow = Fake("slow", candidates(1), delay=0.03)
    task = asyncio.create_task(run(sources=[slow]))
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.06)
    assert slow.log == ["slow+"]


WRONG_SOURCES = {
    "doubled": candidates(1, 1),
    "negative": candidates(-1),
    "wide": Candidates(np.array([1, 2], np.int64)),
    "square": Candidates(np.zeros((2, 2), np.int32)),
    "short column": Candidates(np.array([1, 2], np.int32), {"x": np.zeros(1, np.float32)}),
    "nothing": None,
}


@pytest.mark.parametrize("wrong", WRONG_SOURCES.values(), ids=WRONG_SOURCES)
async def test_wrong_candidates_fail_by_policy(wrong):
    slate = await run(sources=[Fake("a", candidates(1, 2, 3)), Fake("bad", wrong)])
    assert (shown(slate), slate.degraded) == ([1, 2, 3], ["bad"])
    with pytest.raises(StageFault):
        await run(sources=[closed("bad", wrong)])


@pytest.mark.parametrize("wrong", [np.ones(2, np.bool_), np.ones(4, np.int32), np.ones((4, 1), np.bool_), [True] * 4])
async def test_wrong_masks_fail_by_policy(wrong):
    slate = await run(query(4), eligibility=[Fake("bad", wrong)])
    assert (shown(slate), slate.degraded) == ([1, 2, 3, 4], ["bad"])
    with pytest.raises(StageFault):
        await run(filters=[closed("bad", wrong)])


WRONG_ORDERS = {
    "doubled": ([0, 0], [1, 1]),
    "outside": ([0, 9], [1, 1]),
    "negative": ([-1, 0], [1, 1]),
    "zero probability": ([0, 1], [0, 1]),
    "over one": ([0, 1], [1.5, 1]),
    "nan": ([0, 1], [np.nan, 1]),
    "lengths": ([0, 1], [1]),
    "floats": ([0.0, 1.0], [1, 1]),
}


@pytest.mark.parametrize("wrong", WRONG_ORDERS.values(), ids=WRONG_ORDERS)
async def test_wrong_orders_fail_by_policy(wrong):
    order = Order(np.array(wrong[0]), np.array(wrong[1], np.float32), {})
    slate = await run(query(4), rerankers=[Fake("bad", order)])
    assert (shown(slate), slate.degraded) == ([1, 2, 3, 4], ["bad"])
    assert slate.candidates.columns["propensity"].tolist() == [1, 1, 1, 1]
    with pytest.raises(StageFault):
        await run(rerankers=[closed("bad", order)])


async def test_wrong_score_lengths_and_reasons():
    slate = await run(fine=[Fake("bad", {"score": np.zeros(2, np.float32)})])
    assert slate.degraded == ["bad"]
    assert "score" not in slate.candidates.columns
    slate = await run(explainer=Fake("why", [reason()]))
    assert (slate.reasons, slate.degraded) == ([], ["why"])


async def test_values_that_are_none_are_dropped_and_counted():
    column = np.array([np.nan, np.inf, 0.5, -np.inf], np.float32)
    slate = await run(fine=[Fake("s", {"score": column})])
    assert shown(slate) == [3]
    assert notes(slate, "s")[0].detail == {"nan": 3}
    assert slate.degraded == ["under_filled"]


async def test_what_a_filter_removes_is_counted():
    asked = query(4)
    asked.want_trace = True
    slate = await run(asked, eligibility=[Fake("odd", lambda q, c: c.items % 2 == 1)])
    note = notes(slate, "odd")[0]
    assert (note.entered, note.left, note.detail["removed"]) == (4, 2, [2, 4])
    assert shown(slate) == [1, 3]
    assert notes(slate, "a")[0].detail["proposed"] == [1, 2, 3, 4]


async def test_fallbacks_are_asked_only_when_short_and_sources_once():
    main, more = Fake("a", candidates(1, 2)), Fake("more", candidates(2, 7, 8))
    slate = await run(query(2), sources=[main], fallbacks=[more])
    assert more.log == []
    slate = await run(query(4), sources=[main], fallbacks=[more])
    assert main.log.count("a") == 2
    assert more.log.count("more") == 1
    assert sorted(shown(slate)) == [1, 2, 7, 8]
    assert dict(zip(shown(slate), slate.all_sources, strict=True))[2] == ("a", "more")
    assert slate.degraded == []


async def test_fallbacks_pass_the_same_filters():
    even = Fake("even", lambda q, c: c.items % 2 == 0)
    slate = await run(
        query(3), sources=[Fake("a", candidates(1))], fallbacks=[Fake("m", candidates(3, 4))], eligibility=[even]
    )
    assert (shown(slate), slate.degraded) == ([4], ["under_filled"])


@given(st.dictionaries(st.integers(0, 50), st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1), st.integers(1, 20))
def test_the_best_stand_first_and_ties_go_by_ordinal(scores, k):
    slate = asyncio.run(
        run(
            query(k, ranked=k),
            sources=[Fake("a", candidates(*scores))],
            coarse=[Fake("c", score_by(scores, "coarse"))],
            fine=[Fake("s", score_by(scores))],
        )
    )
    assert shown(slate) == sorted(scores, key=lambda item: (-scores[item], item))[:k]


async def test_candidates_are_cut_by_their_best_place():
    sources = [Fake("a", candidates(1, 2, 3)), Fake("b", candidates(9, 8, 3))]
    slate = await run(query(3, candidates=3), sources=sources)
    assert sorted(shown(slate)) == [1, 2, 9]
    assert slate.degraded == []


async def test_a_small_ranked_never_leaves_a_slate_short():
    slate = await run(query(4, ranked=1, candidates=1), coarse=[Fake("c", score_by({}, "coarse"))])
    assert len(shown(slate)) == 4


async def test_the_source_with_the_largest_share_is_named():
    shares = {"share.a": [0.1, 0.5, np.nan], "share.b": [0.4, 0.2, 0.0], "share.c": [9.0, 9.0, 9.0]}
    slate = await run(
        sources=[Fake("a", candidates(1, 2, 3)), Fake("b", candidates(3, 2, 1)), Fake("c", candidates(7))],
        eligibility=[Fake("f", lambda q, c: c.items < 7)],
        fine=[Fake("s", {k: np.array(v, np.float32) for k, v in shares.items()})],
    )
    # Rows in order of the merge: by best place, ties by ordinal.
    assert dict(zip(shown(slate), slate.sources, strict=True)) == {1: "b", 3: "a", 2: "a"}
    assert set(slate.all_sources) == {("a", "b")}


async def test_a_source_without_a_share_still_owns_what_it_alone_proposed():
    slate = await run(sources=[Fake("a", candidates(1)), Fake("b", candidates(2, 3))])
    assert dict(zip(shown(slate), slate.sources, strict=True)) == {1: "a", 2: "b", 3: "b"}


async def test_propensities_multiply_and_follow_their_rows():
    halves = Order(np.array([2, 0, 1]), np.array([0.5, 1.0, 0.25], np.float32), {"how": "drawn"})
    last = Order(np.array([1, 0]), np.array([1.0, 0.5], np.float32), {})
    slate = await run(rerankers=[Fake("x", halves), Fake("y", last)])
    assert shown(slate) == [1, 3]
    assert slate.candidates.columns["propensity"].tolist() == [1.0, 0.25]
    assert notes(slate, "x")[0].detail == {"how": "drawn"}


async def test_disabled_stages_do_not_run():
    stages = {
        "sources": [Fake("a", candidates(1, 2, 3)), Fake("b", candidates(9)), Fake("off", candidates(8), on=False)],
        "fine": [Fake("s", score_by({3: 1.0}))],
        "explainer": Fake("why", [reason()] * 3),
    }
    slate = await run(query(disabled=("b", "s", "why")), **stages)
    assert (shown(slate), slate.reasons, slate.degraded) == ([1, 2, 3], [], [])
    assert {note.stage for note in slate.trace.stages} == {"a"}
    assert stages["sources"][1].log == stages["sources"][2].log == []


async def test_nothing_to_show_is_an_answer():
    slate = await run(
        sources=[Fake("a", Candidates.empty())], fine=[Fake("s", score_by({}))], rerankers=[Fake("o", in_order)]
    )
    assert (shown(slate), slate.sources, slate.reasons) == ([], [], [])
    assert slate.degraded == ["under_filled"]
    assert (await run(sources=[])).degraded == ["under_filled"]


async def test_more_wanted_than_there_is():
    slate = await run(query(100))
    assert len(shown(slate)) == 4
    assert slate.degraded == ["under_filled"]


class Counter(NoMeter):
    def __init__(self):
        self.failed: list[str] = []

    def count(self, name, amount=1.0, **labels):
        if name == "stage_failures":
            self.failed += [labels["stage"]] * int(amount)


async def test_effects_fail_alone():
    meter = Counter()
    good = Fake("good", None)
    effects = [
        Fake("bad", RuntimeError("disk")),
        Fake("switch", None, on=RuntimeError("x")),
        Fake("slow", None, delay=5),
        Fake("off", None, on=False),
        good,
    ]
    asked, made = query(), funnel(effects=effects)
    runner = Runner(meter)
    slate = await runner.run(made, asked)
    assert meter.failed == []
    await runner.effects(made, [(asked, slate)])
    assert meter.failed == ["bad", "switch", "slow"]
    assert good.log == ["good+", "good"]
    assert effects[3].log == []


def test_a_funnel_checks_its_names():
    with pytest.raises(ConfigError, match="share a name: a"):
        funnel(fine=[Fake("a")])
    with pytest.raises(ConfigError, match="at most 32 sources"):
        funnel(sources=[Fake(f"s{n}") for n in range(33)])
