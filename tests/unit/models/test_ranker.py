"""The ranker as a bundle holds it."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.training.ranking.examples import QUIET, planted

from kindred.core.errors import BundleCorrupt
from kindred.models.ranker import RankerModel, RankerSchema, centred, worth
from kindred.training.ranking.learn import learn_ranker


@pytest.fixture(scope="module")
def model() -> RankerModel:
    return learn_ranker(planted(60), QUIET, seed=3, threads=1)


def test_what_was_written_scores_alike(model, tmp_path):
    model.save(tmp_path)
    again = RankerModel.load(tmp_path)
    columns = planted(5).columns
    assert np.array_equal(again.score(columns).value, model.score(columns).value)
    assert again.report == model.report
    assert again.schema.digest == model.schema.digest
    assert {path.suffix for path in tmp_path.iterdir()} == {".ubj", ".npy", ".json"}


def test_scores_are_finite_shares_whatever_is_missing(model):
    columns = np.full((4, 3), np.nan, np.float32)
    columns[0] = [0.5, np.inf, -1e9]
    for mix in ({"order": 1.0}, {"value": 1.0}):
        value = replace(model, mix=mix).score(columns).value
        assert np.isfinite(value).all()
        assert ((value > 0) & (value < 1)).all()


def test_what_columns_add_sums_to_the_margin(model):
    columns = planted(2).columns
    for head, shares in model.shares(columns).items():
        assert shares.shape == (len(columns), 4)
        assert shares.sum(axis=1) == pytest.approx(model.heads[head].margins(columns), abs=1e-4)


@pytest.mark.parametrize("name", ["trees.0.ubj", "curve.0.npy", "ranker.json"])
def test_a_missing_file_is_a_corrupt_bundle(model, tmp_path, name):
    model.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(BundleCorrupt, match=name.split(".")[0]):
        RankerModel.load(tmp_path)


def test_columns_other_than_those_of_the_trees_are_refused(model, tmp_path):
    model.save(tmp_path)
    written = (tmp_path / "ranker.json").read_text()
    (tmp_path / "ranker.json").write_text(written.replace('"secret"', '"secrets"', 1))
    with pytest.raises(BundleCorrupt, match="columns"):
        RankerModel.load(tmp_path)


def test_the_order_of_columns_is_part_of_the_schema():
    assert RankerSchema(("a", "b")).digest != RankerSchema(("b", "a")).digest
    assert RankerSchema(("a",), {"a": ("x", "y")}).digest != RankerSchema(("a",), {"a": ("y", "x")}).digest


def test_worth_is_the_weighted_chance_as_log_odds():
    chances = {"click": np.array([0.5, 0.0], np.float32), "purchase": np.array([0.5, 1.0], np.float32)}
    found = worth(chances, {"click": 1.0, "purchase": 3.0})
    assert found.tolist() == pytest.approx([0.0, np.log(0.75 / 0.25)])


def test_equal_values_are_centred_to_nothing():
    assert centred(np.full(3, 7, np.float32)).tolist() == [0, 0, 0]


def test_a_server_loads_no_scikit_learn_for_it(model, tmp_path):
    model.save(tmp_path)
    code = (
        "import sys; from pathlib import Path; import numpy as np; from kindred.models.ranker import RankerModel;"
        f"m = RankerModel.load(Path({str(tmp_path)!r})); assert 'xgboost' not in sys.modules;"
        "m.score(np.zeros((2, 3), np.float32)); assert 'sklearn' not in sys.modules; import sklearn"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)
