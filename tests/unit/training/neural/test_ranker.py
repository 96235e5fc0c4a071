"""The ranker's network orders lists, says chances, and is served in the fastest good form."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from kindred.core.errors import BundleCorrupt, InvalidInput
from kindred.models.forms import INT8, STUDENT, WHOLE, fastest
from kindred.models.neural_ranker import NetworkHeads, NeuralRankerConfig
from kindred.models.ranker import ORDER
from kindred.training.neural.lists import Lists
from kindred.training.neural.ranker import fit_network

SMALL = NeuralRankerConfig(layers=(16,), student_layers=(8,), epochs=8, batch=16, learning_rate=0.02)


def planted(lists: int = 120, each: int = 12, seed: int = 0) -> Lists:
    """Return lists in which the product of two columns says what is wanted; a third is missing at times."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(lists * each, 4)).astype(np.float32)
    signal = columns[:, 0] * columns[:, 1]
    columns[rng.random(len(columns)) < 0.3, 2] = np.nan
    columns[:, 3] = np.nan
    best = signal.reshape(lists, each).argmax(axis=1) + each * np.arange(lists)
    relevant = np.zeros(len(columns), np.bool_)
    relevant[best] = True
    labels = np.stack((relevant, signal > 0), axis=1)
    return Lists(columns, labels, relevant, np.repeat(np.arange(lists, dtype=np.int32), each))


@pytest.fixture(scope="module")
def heads() -> NetworkHeads:
    return fit_network(planted(), ("purchase", "click"), SMALL, threads=1)


def test_a_planted_product_of_columns_is_found(heads: NetworkHeads) -> None:
    other = planted(seed=1)
    found = other.ndcg(heads[ORDER].margins(other.columns))
    assert found > 0.75 > 2 * 0.3 > other.ndcg(np.zeros(len(other), np.float32))
    clicked = heads["click"].margins(other.columns)
    assert clicked[other.labels[:, 1]].mean() > clicked[~other.labels[:, 1]].mean() + 1


def test_every_form_is_measured_and_the_fastest_good_one_served(heads: NetworkHeads) -> None:
    assert [form.name for form in heads.forms] == [WHOLE, INT8, STUDENT]
    assert all(form.size > 0 and form.milliseconds > 0 for form in heads.forms)
    assert len(heads.graph.data) == fastest(heads.forms).size


def test_shares_name_the_columns_that_matter(heads: NetworkHeads) -> None:
    rows = planted(seed=2).columns[:50]
    shares = heads[ORDER].shares(rows)
    assert shares.shape == (50, 5)
    weight = np.abs(shares[:, :4]).mean(axis=0)
    assert weight[:2].min() > weight[2:].max()
    assert not shares[:, 3].any()


def test_saved_and_loaded_it_says_the_same(heads: NetworkHeads, tmp_path: Path) -> None:
    heads.save(tmp_path)
    loaded = NetworkHeads.load(tmp_path, (ORDER, "purchase", "click"))
    rows = planted(seed=3).columns[:9]
    np.testing.assert_array_equal(loaded.margins(rows), heads.margins(rows))
    assert (loaded.names, loaded.forms) == (heads.names, heads.forms)
    with pytest.raises(BundleCorrupt, match="has the heads"):
        NetworkHeads.load(tmp_path, (ORDER, "click"))


def test_lists_without_anything_wanted_are_refused() -> None:
    lists = planted(lists=3)
    nothing = Lists(lists.columns, lists.labels, np.zeros(len(lists), np.bool_), lists.requests)
    with pytest.raises(InvalidInput, match="relevant"):
        fit_network(nothing, (), SMALL)
    assert nothing.ndcg(np.zeros(len(nothing), np.float32)) == 0
