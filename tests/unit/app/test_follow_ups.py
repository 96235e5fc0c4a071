"""What follows answers: in batches, each effect alone, and never twice or lost without a count."""

import asyncio

import pytest
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
from kindred.recommend.effects.replay import ReplayLog
from kindred.recommend.effects.served import ServedLog

SLATE = Slate("rec_1", Candidates.empty())


class Batches(Fake):
    async def run(self, notes):
        self.log.append([one.request_id for one, _ in notes])
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


class Log:
    """Takes what was served, once its gate is open; then it may fail."""

    def __init__(self, error=None):
        self.gate, self.written, self.error = asyncio.Event(), [], error

    async def record(self, events):
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.written.extend(decode_event(encode_event(event)).request_id for event in events)


@pytest.mark.parametrize("error", [None, OSError("full")])
async def test_what_was_served_is_logged_though_that_takes_too_long(monkeypatch, error):
    """It has failed only if it fails in the end, and a server that stops waits for it."""
    monkeypatch.setattr(follow_ups, "GATHER_SECONDS", 0.001)
    log = Log(error)
    follow, made, meter = following(ServedLog(log.record), effects=5)
    many = [f"rec_{number}" for number in range(40)]
    for number in range(40):
        follow.add(made, asked(number), SLATE)
    await follow.done_with("rec_0")
    assert (log.written, meter.said) == ([], [])
    draining = asyncio.create_task(follow.drain())
    await asyncio.sleep(0.01)
    assert not draining.done()
    log.gate.set()
    await draining
    assert (log.written, meter.said) == (([], [("stage_failures", 40, "served_log")]) if error else (many, []))


async def test_an_answer_that_cannot_be_noted_takes_none_of_its_neighbours_along(monkeypatch):
    monkeypatch.setattr(follow_ups, "GATHER_SECONDS", 0.001)
    log, kept = Log(), []
    log.gate.set()

    async def keep(records):
        kept.extend(request_id for request_id, _, _ in records)

    follow, made, meter = following(ReplayLog(keep, 0.0), ServedLog(log.record))
    for number in range(3):
        one = asked(number)
        if number == 1:
            del one.scratch[ANSWERED]
            one.scratch["record"] = object()
        follow.add(made, one, SLATE)
    await follow.drain()
    assert kept == log.written == ["rec_0", "rec_2"]
    assert meter.said == [("stage_failures", 1.0, "replay_log"), ("stage_failures", 1.0, "served_log")]


async def test_notes_are_taken_however_long_that_takes():
    """The deadline is that of the writing: many answers at once are no reason to lose them."""
    log = Log()
    log.gate.set()
    _, made, meter = following(ServedLog(log.record), effects=0.001)
    runner = Runner(meter)
    await runner.effects(made, [(asked(number), SLATE) for number in range(2_000)])
    await runner.drain()
    assert len(log.written) == 2_000
    assert meter.said == []
