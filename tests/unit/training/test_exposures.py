"""Examination by slot, recovered from slates that draws filled."""

import msgspec
import numpy as np
import pytest
from benchmarks.world.logs import Logs, events, simulate
from benchmarks.world.truth import Truth, WorldConfig

from kindred.core.event import Served, encode_event
from kindred.core.position import Position
from kindred.ports.log import LogRecord
from kindred.training.exposures import LEAST, Exposures
from kindred.training.log_rows import event_columns

CONFIG = WorldConfig(users=150, items=40, requests=20, slots=6, bots=0.0)


@pytest.fixture(scope="module")
def world() -> tuple[Truth, Logs]:
    """Return a small shop and its log."""
    truth = Truth.plant(CONFIG)
    return truth, simulate(truth)


def counted(world: tuple[Truth, Logs]) -> Exposures:
    truth, logs = world
    records = [
        LogRecord(Position(0, 0, number), encode_event(event)) for number, event in enumerate(events(logs, truth))
    ]
    # In parts, as files of a lake: a slate and what followed may stand in different ones.
    return Exposures.of([event_columns(records[first : first + 997]) for first in range(0, len(records), 997)])


def test_it_counts_what_draws_showed_and_no_more(world: tuple[Truth, Logs]) -> None:
    """Slates in the shop's own order say nothing; a drawn item that was clicked counts once, bought or not."""
    found, drawn = counted(world), world[1].take(world[1].random)
    assert found.shown.tolist() == np.bincount(drawn.slots).tolist()
    assert found.followed.tolist() == np.bincount(drawn.slots, drawn.click).astype(int).tolist()


def test_a_high_share_of_draws_does_not_make_the_greedy_choice_one() -> None:
    """Where ε is told, the best item that stands in its own place by 1 - ε is no draw; a pinned one never is."""
    slate = Served(
        event_id="e",
        timestamp=0,
        ingested_at=0,
        user_id="u",
        request_id="r",
        placement="home",
        bundle="b",
        items=["best", "drawn", "pinned", "best2"],
        propensities=[0.2, 0.1, 1.0, 0.7],
        sources=["als"] * 4,
        epsilons=[0.8, 0.8, 0.0, 0.3],
        pinned=[2],
    )
    for record, shown in (
        (slate, [0, 1]),
        (msgspec.structs.replace(slate, epsilons=[], propensities=[0.7, 0.1, 1.0, 0.7]), [0, 1]),
    ):
        found = Exposures.of([event_columns([LogRecord(Position(0, 0, 0), encode_event(record))])])
        assert found.shown.tolist() == shown


def test_planted_examination_is_recovered(world: tuple[Truth, Logs]) -> None:
    """Each slot's share lies within three standard errors of the planted one, and shares never rise."""
    found, truth = counted(world), world[0]
    shares = found.examination()
    assert shares is not None
    spread = shares * np.sqrt(1 / found.followed + 1 / found.followed[0])
    assert (np.abs(shares - truth.examined) < 3 * spread + 1e-6)[1:].all()
    assert (np.diff(shares) <= 0).all()
    assert shares[0] == 1
    assert shares.min() >= LEAST


def test_the_naive_rate_of_ordered_slates_would_be_wrong(world: tuple[Truth, Logs]) -> None:
    """Where good items stand high, the rate by slot falls faster than looking does."""
    truth, logs = world
    ordered = logs.take(~logs.random)
    rates = np.bincount(ordered.slots, ordered.click) / np.bincount(ordered.slots)
    assert (rates / rates[0])[-1] < 0.9 * truth.examined[-1]


def test_bots_do_not_decide() -> None:
    """One who is shown twenty times as much and clicks on anything is left out."""
    truth = Truth.plant(msgspec.structs.replace(CONFIG, users=300, bots=0.02))
    assert truth.bot.any()
    shares = counted((truth, simulate(truth))).examination()
    assert shares is not None
    np.testing.assert_allclose(shares, truth.examined, atol=0.1)


def test_few_draws_teach_nothing() -> None:
    """Chance would decide: no curve at all, and none without a single slate."""
    few = Exposures(np.array([50, 50]), np.array([9, 5]))
    assert few.examination() is None
    assert Exposures.of([]).examination() is None
