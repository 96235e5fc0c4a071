"""The tables of retrieval models: what settings name can be fitted, opened, and says what it lacks."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from tests.unit.models.data import N_ITEMS, fit_input, history, two_tastes

from kindred.app.sections import SECTIONS
from kindred.core import extras
from kindred.core.errors import BundleMismatch, ConfigError
from kindred.models.als import AlsConfig
from kindred.models.retrieval import RETRIEVERS, RetrieverKind, check_retrievers, open_retriever
from kindred.training.config import TrainConfigs
from kindred.training.fit import registry
from kindred.training.fit.registry import FITTINGS, Fitting, check_installed, fit_retriever


def test_what_can_be_fitted_can_be_opened_and_has_settings_of_its_name() -> None:
    assert FITTINGS.keys() == RETRIEVERS.keys()
    for name, fitting in FITTINGS.items():
        assert type(getattr(TrainConfigs(), name)) is fitting.config is SECTIONS[name]


@pytest.mark.parametrize("name", [name for name, fitting in FITTINGS.items() if not fitting.extra])
def test_a_fit_gives_the_model_that_is_opened(name: str, tmp_path: Path) -> None:
    fitting = FITTINGS[name]
    model = fit_retriever(name, fit_input(two_tastes()), fitting.config())
    assert type(model) is RETRIEVERS[name].model
    model.save(tmp_path)
    opened, items = open_retriever(name, tmp_path), np.arange(N_ITEMS, dtype=np.int32)
    asked = history([0, 1, 2], np.full(3, 4.0))
    np.testing.assert_allclose(opened.score(asked, items), model.score(asked, items), rtol=1e-5)
    assert opened.score(asked, items)[3:14].mean() > opened.score(asked, items)[14:28].mean()


def test_unknown_and_repeated_names_are_said() -> None:
    with pytest.raises(ConfigError, match="did you mean `item_item`"):
        check_retrievers(["als", "itemitem"])
    with pytest.raises(ConfigError, match="twice"):
        check_retrievers(["als", "als"])


def test_a_missing_extra_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(extras.MODULES, "neural", ("a_module_that_is_not_there",))
    monkeypatch.setattr(registry, "FITTINGS", {"als": Fitting(AlsConfig, "nowhere:nothing", "neural")})
    with pytest.raises(ConfigError, match=r"'als'.*pip install 'kindred\[neural\]'"):
        check_installed(["als"])
    monkeypatch.setattr(
        "kindred.models.retrieval.RETRIEVERS", {"als": RetrieverKind(RETRIEVERS["als"].model, "neural")}
    )
    with pytest.raises(BundleMismatch, match=r"'als'.*pip install 'kindred\[neural\]'"):
        open_retriever("als", tmp_path)


def test_a_model_of_another_release_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleMismatch, match="'oracle', which this release does not know: train anew"):
        open_retriever("oracle", tmp_path)


def test_the_extras_are_those_of_the_package() -> None:
    path = Path(__file__).parents[4] / "pyproject.toml"
    named = tomllib.loads(path.read_text("utf-8"))["project"]["optional-dependencies"]
    assert extras.MODULES.keys() <= named.keys()
