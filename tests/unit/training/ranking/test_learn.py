"""What the ranker learns where the truth is known."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.unit.training.ranking.examples import QUIET, planted

from kindred.models.ranker import RankerModel
from kindred.training.ranking.learn import fit_curve, learn_ranker, ndcg_of, reliability


def test_what_the_blend_does_not_see_is_found_and_pays(tmp_path):
    examples = planted()
    model = learn_ranker(examples, QUIET, seed=3, threads=1)
    assert model.report.difference[1] > 0
    assert model.report.ndcg > model.report.blend_ndcg
    assert next(iter(model.report.importance)) == "secret"
    unseen = planted(seed=2)
    scores = np.concatenate([model.score(unseen.columns[unseen.requests == r]).value for r in range(len(unseen.users))])
    assert ndcg_of(unseen, scores).mean() > 1.2 * ndcg_of(unseen, unseen.blend).mean()
    model.save(tmp_path)
    assert np.array_equal(RankerModel.load(tmp_path).score(unseen.columns).value, model.score(unseen.columns).value)


def test_chances_are_calibrated_for_users_never_seen():
    model = learn_ranker(planted(), QUIET, seed=3, threads=1)
    assert model.report.reliability["purchase"].error < 0.02
    unseen = planted(seed=2)
    chances = model.score(unseen.columns, every=True).chances["purchase"]
    assert reliability(chances, unseen.labels[:, 0]).error < 0.03
    assert abs(chances.mean() - unseen.labels.mean()) < 0.02


def test_labels_that_were_shuffled_do_not_beat_the_blend():
    examples = planted(signal=0.0)
    rng = np.random.default_rng(0)
    mixed_up = examples.columns[:, [0, 1, 2]].copy()
    mixed_up[:, 1:] = rng.permutation(mixed_up[:, 1:])
    model = learn_ranker(replace(examples, columns=mixed_up), QUIET, seed=3, threads=1)
    assert model.report.difference[1] <= 0


def test_the_same_seed_learns_the_same():
    first, second = (learn_ranker(planted(60), QUIET, seed=3, threads=1) for _ in range(2))
    assert first.report == second.report
    assert [one.data for one in first.heads.values()] == [one.data for one in second.heads.values()]


def test_what_an_event_is_worth_decides_the_order():
    """Clicks follow one column and purchases another; the value function goes by what is worth more."""
    examples = planted()
    clicked = examples.columns[:, 1] > 1
    both = replace(examples, events=("click", "purchase"), labels=np.stack([clicked, examples.labels[:, 0]], axis=1))
    orders = {}
    for kind, value in (("click", {"click": 5.0, "purchase": 0.01}), ("purchase", {"click": 0.01, "purchase": 5.0})):
        config = msgspec.structs.replace(QUIET, value=value)
        model = replace(learn_ranker(both, config, seed=3, threads=1), mix={"value": 1.0})
        orders[kind] = model.score(both.columns).value
    by_click, by_purchase = (np.corrcoef(orders[kind], examples.columns[:, 1])[0, 1] for kind in orders)
    assert by_click > 0.5 > by_purchase


def test_ndcg_counts_what_was_wanted_and_never_found():
    examples = replace(planted(2, 3), relevant=np.array([1, 0, 0, 0, 0, 1], bool), wanted=np.array([1, 2]))
    scores = np.array([3, 2, 1, 3, 2, 1], np.float32)
    worst = (1 / np.log2(4)) / (1 + 1 / np.log2(3))
    assert ndcg_of(examples, scores).tolist() == pytest.approx([1.0, worst])


def test_a_curve_rises_and_stays_within_chances():
    margins = np.linspace(-3, 3, 200).astype(np.float32)
    curve = fit_curve(margins, margins > 0.5)
    chances = curve(np.array([-99, 0, 1, 99], np.float32))
    assert chances.tolist() == sorted(chances.tolist())
    assert chances[0] == 0
    assert chances[-1] == 1
