"""The ranker with a network for its heads, chosen by one setting."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.unit.training.ranking.examples import QUIET, planted

from kindred.core import extras
from kindred.core.errors import ConfigError
from kindred.models.neural_ranker import NeuralRankerConfig
from kindred.models.ranker import RankerModel
from kindred.training.ranking.learn import learn_ranker

NETWORK = NeuralRankerConfig(cross_layers=1, layers=(16,), student_layers=(8,), epochs=6, batch=16, learning_rate=0.02)
NEURAL = msgspec.structs.replace(QUIET, kind="neural", network=NETWORK, folds=2)


def test_a_network_finds_what_the_blend_does_not_see_and_is_kept(tmp_path: Path) -> None:
    for module in extras.MODULES["neural"]:
        pytest.importorskip(module)
    model = learn_ranker(planted(), NEURAL, seed=3, threads=1)
    assert model.report.difference[1] > 0
    assert next(iter(model.report.importance)) == "secret"
    assert model.report.reliability["purchase"].error < 0.05
    model.save(tmp_path)
    loaded = RankerModel.load(tmp_path)
    rows = planted(seed=2).columns[:40]
    one, two = model.score(rows, every=True), loaded.score(rows, every=True)
    np.testing.assert_array_equal(one.value, two.value)
    np.testing.assert_array_equal(one.chances["purchase"], two.chances["purchase"])
    assert set(loaded.shares(rows)) == {"order", "purchase"}


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES, "neural", ("a_module_that_is_not_there",))
    with pytest.raises(ConfigError, match=r"ranker\.kind.*pip install 'kindred\[neural\]'"):
        learn_ranker(planted(20), NEURAL, seed=3, threads=1)
