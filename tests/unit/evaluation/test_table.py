"""The result table holds what the intervals say, and travels as JSON."""

import json
import math

import numpy as np
import pytest

from kindred.core.errors import InvalidInput
from kindred.evaluation.intervals import Bootstrap, mean_interval, paired_difference
from kindred.evaluation.table import tabulate

GENERATOR = np.random.default_rng(6)
POPULARITY = {"ndcg@10": GENERATOR.random(40), "diversity": np.full(40, math.nan)}
FUNNEL = {"ndcg@10": POPULARITY["ndcg@10"] + 0.2, "diversity": GENERATOR.random(40)}
SYSTEMS = {"popularity": POPULARITY, "funnel": FUNNEL}


def test_rows_and_differences_equal_the_single_intervals():
    table = tabulate(SYSTEMS, "popularity", totals={"funnel": {"coverage": 0.25}})
    assert list(table.rows) == ["popularity", "funnel"]
    assert list(table.differences) == ["funnel"]
    assert table.totals == {"funnel": {"coverage": 0.25}}
    single = mean_interval(FUNNEL["ndcg@10"])
    row = table.rows["funnel"]["ndcg@10"]
    assert [row.mean, row.low, row.high, row.users] == pytest.approx([single.mean, single.low, single.high, 40])
    gain, paired = table.differences["funnel"]["ndcg@10"], paired_difference(FUNNEL["ndcg@10"], POPULARITY["ndcg@10"])
    assert [gain.mean, gain.low, gain.high] == pytest.approx([paired.mean, paired.low, paired.high])
    assert gain.excludes_zero
    assert gain.low == pytest.approx(0.2)


def test_to_dict_is_json_with_none_for_what_is_undefined():
    plain = json.loads(json.dumps(tabulate(SYSTEMS, "popularity").to_dict(), allow_nan=False))
    assert plain["baseline"] == "popularity"
    assert plain["rows"]["popularity"]["diversity"] == {"mean": None, "low": None, "high": None, "users": 0}
    assert plain["differences"]["funnel"]["diversity"]["mean"] is None
    assert plain["rows"]["funnel"]["diversity"]["users"] == 40
    assert plain["bootstrap"] == {"resamples": 2_000, "level": 0.95, "seed": Bootstrap().seed}


def test_users_with_several_rows_are_counted_once():
    table = tabulate(SYSTEMS, "popularity", users=np.arange(40) // 2)
    assert table.rows["funnel"]["ndcg@10"].users == 20


@pytest.mark.parametrize(
    ("systems", "baseline", "message"),
    [
        (SYSTEMS, "als", "`als` was not evaluated; choose one of popularity, funnel"),
        ({"a": {"x": np.ones(2)}, "b": {"y": np.ones(2)}}, "a", "systems/b: metrics differ from the baseline's: x, y"),
        ({"a": {"x": np.ones(2)}, "b": {"x": np.ones(3)}}, "a", "differ in rows"),
        ({"a": {"x": np.ones(2), "y": np.ones(3)}}, "a", "systems/a: needs at least one metric"),
        ({"a": {}}, "a", "needs at least one metric"),
    ],
)
def test_systems_that_cannot_be_compared_are_refused(systems, baseline, message):
    with pytest.raises(InvalidInput, match=message):
        tabulate(systems, baseline)
