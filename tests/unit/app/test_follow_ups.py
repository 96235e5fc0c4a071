"""What follows answers: in batches, each effect alone, and never twice or lost without a count."""

import asyncio

from tests.unit.pipeline.stages import Fake, query

from kindred.app import follow_ups
from kindred.app.follow_ups import FollowUps
from kindred.core.candidates import Candidates
from kindred.core.event import decode_event, encode_event
from kindred.core.slate import Slate
from kindred.pipeline.funnel import Deadlines, Funnel
from kindred.pipeline.runner import Runner
from kindred.ports.telemetry import NoMeter
from kindred.recommend.ask import ANSWERED
from kindred.recommend.effects.served import ServedLog

SLATE = Slate("rec_1", Candidates.empty())


class Batches(Fake):
    async def run(self, answered):
        self.log.append([one.request_id for one, _ in answered])
        if isinstance(self.result, Exception):
            raise self.result


class Counts(NoMeter):
    def __init__(self):
        self.said = []

    def count(self, name, amount=1.0, **labels):
        self.said.append((name, amount, *labels.values()))


def asked(number):
    one = query()
    one.request_id = f"rec_{number}"
    one.scratch[ANSWERED] = [f"i{number}"]
    return one


def following(*effects, meter=None, **deadlines):
    meter = meter or Counts()
    made = Funnel(bundle="b", effects=effects, deadlines=Deadlines(**deadlines))
    return FollowUps(Runner(meter), meter), made, meter


async def test_answers_of_a_moment_are_followed_up_together(monkeypatch):
    monkeypatch.setattr(follow_ups, "GATHER_SECONDS", 0.001)
    log = Batches("log")
    follow, made, _ = following(log)
    for number in range(5):
        follow.add(made, asked(number), SLATE)
    await follow.done_with("rec_3")
    assert log.log == [[f"rec_{number}" for number in range(5)]]
    await follow.done_with("rec_unheard_of")
    follow.add(made, asked(9), SLATE)
    await follow.drain()
    assert log.log[1:] == [["rec_9"]]


async def test_every_answer_of_a_batch_that_failed_is_counted(monkeypatch):
    monkeypatch.setattr(follow_ups, "GATHER_SECONDS", 0.001)
    bad, good = Batches("bad", OSError("gone")), Batches("good")
    follow, made, meter = following(bad, good)
    for number in range(3):
        follow.add(made, asked(number), SLATE)
    await follow.drain()
    assert meter.said == [("stage_failures", 3, "bad")]
    assert good.log == [["rec_0", "rec_1", "rec_2"]]


async def test_what_would_be_too_much_is_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(follow_ups, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(follow_ups, "PENDING", 2)
    log = Batches("log")
    follow, made, meter = following(log)
    for number in range(3):
        follow.add(made, asked(number), SLATE)
    await follow.drain()
    assert (log.log, meter.said) == ([["rec_0", "rec_1"]], [("effects_dropped", 1.0)])
    follow.add(made, asked(4), SLATE)
    await follow.drain()
    assert log.log[1:] == [["rec_4"]]


async def test_what_was_served_is_logged_though_that_takes_too_long():
    gate, written = asyncio.Event(), []

    async def record(events):
        await gate.wait()
        written.extend(decode_event(encode_event(event)).request_id for event in events)

    _, made, meter = following(ServedLog(record), effects=5)
    many = [f"rec_{number}" for number in range(40)]
    await Runner(meter).effects(made, [(asked(number), SLATE) for number in range(40)])
    assert meter.said == [("stage_failures", 40, "served_log")]
    assert written == []
    gate.set()
    while not written:
        await asyncio.sleep(0)
    assert written == many
