"""How each retrieval model is fitted, by the name that settings and bundles know it by."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import NamedTuple

from kindred.core.config import Config
from kindred.core.errors import ConfigError
from kindred.core.extras import missing_extra
from kindred.models.als import AlsConfig
from kindred.models.ease import EaseConfig
from kindred.models.graph import GraphConfig
from kindred.models.item_item import ItemItemConfig
from kindred.models.protocol import Retriever
from kindred.models.search import Space
from kindred.models.sequential import SequentialConfig
from kindred.models.two_tower import TwoTowerConfig
from kindred.training.fit.inputs import FitInput


class Fitting(NamedTuple):
    """How a retrieval model is made.

    `config`: its settings, which stand in the section of its name. `fit`: `module:function` of a function of (FitInput,
    config), imported when it is needed. `extra`: of the package, that fitting needs (none: "").
    """

    config: type[Config]
    fit: str
    extra: str = ""

    @property
    def function(self) -> Callable[[FitInput, Config], Retriever]:
        """Return the function."""
        module, _, name = self.fit.partition(":")
        found: Callable[[FitInput, Config], Retriever] = getattr(import_module(module), name)
        return found

    @property
    def search(self) -> Space:
        """Return what tuning chooses settings from: `SEARCH` beside the settings; nothing for a model without one."""
        found: Space = getattr(import_module(self.config.__module__), "SEARCH", {})
        return found


FITTINGS: Mapping[str, Fitting] = {
    "als": Fitting(AlsConfig, "kindred.training.fit.als:fit_als"),
    "item_item": Fitting(ItemItemConfig, "kindred.training.fit.item_item:fit_item_item"),
    "ease": Fitting(EaseConfig, "kindred.training.fit.ease:fit_ease"),
    "graph": Fitting(GraphConfig, "kindred.training.fit.graph:fit_graph"),
    "sequential": Fitting(SequentialConfig, "kindred.training.neural.sequential:fit_sequential", "neural"),
    "two_tower": Fitting(TwoTowerConfig, "kindred.training.neural.two_tower:fit_two_tower", "neural"),
}


def check_installed(names: Iterable[str]) -> None:
    """Raise ConfigError with the line that installs what fitting one of these models needs and is not there."""
    for name in names:
        needed = missing_extra(FITTINGS[name].extra)
        if needed is not None:
            raise ConfigError(f"training.retrieval names {name!r}, which needs: {needed}")


def fit_retriever(name: str, data: FitInput, config: Config) -> Retriever:
    """Fit a retrieval model with the settings of its section; see `check_installed` for what it needs."""
    return FITTINGS[name].function(data, config)
