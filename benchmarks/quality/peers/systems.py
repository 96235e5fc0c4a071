"""Who takes part, and the settings each may choose from: its package's defaults and at most three others."""

from itertools import product
from typing import Any, NamedTuple

Settings = dict[str, Any]


class System(NamedTuple):
    """A contestant: `package` names its folder here, `name` its function there; `grid` stands beside the defaults.

    `chosen_on`: splits in whose training part the defaults themselves were once chosen.
    """

    package: str
    name: str
    label: str
    grid: tuple[Settings, ...] = ()
    chosen_on: tuple[str, ...] = ()


def grid(**choices: tuple[Any, ...]) -> tuple[Settings, ...]:
    """Return every combination."""
    return tuple(dict(zip(choices, each, strict=True)) for each in product(*choices.values()))


SYSTEMS = (
    System("ours", "popularity", "popularity"),
    System(
        "ours",
        "item_item",
        "Kindred item_item",
        grid(shrinkage=(50.0, 200.0, 800.0), amplification=(1.0,)),
        ("online-retail",),
    ),
    System(
        "ours",
        "als",
        "Kindred als",
        grid(factors=(64,), regularization=(10.0, 30.0, 100.0)),
        ("online-retail", "ml-1m"),
    ),
    System("ours", "ease", "Kindred ease", grid(regularization=(100.0, 200.0, 1000.0)), ("ml-1m",)),
    System("ours", "graph", "Kindred graph"),
    System("implicit", "als", "implicit ALS", grid(factors=(64,), regularization=(1.0, 10.0, 30.0), alpha=(5.0,))),
    System("implicit", "bpr", "implicit BPR", grid(factors=(64,), learning_rate=(0.02, 0.05), iterations=(200,))),
    System("implicit", "bm25", "implicit BM25", grid(K=(100,), B=(0.25, 0.5, 0.75))),
    System("rectools", "ease", "RecTools EASE", grid(regularization=(100.0, 200.0, 1000.0))),
    System("rectools", "svd", "RecTools PureSVD", grid(factors=(32, 64, 128))),
    System(
        "lenskit",
        "als",
        "LensKit ImplicitMF",
        grid(embedding_size=(64,), regularization=(1.0, 10.0, 30.0), weight=(5.0,)),
    ),
    System("lenskit", "neighbours", "LensKit ItemKNN", grid(max_nbrs=(50, 100, 200))),
    System("cornac", "ease", "cornac EASE", grid(lamb=(100, 200, 1000), posB=(False,))),
    System("cornac", "bpr", "cornac BPR", grid(k=(64,), learning_rate=(0.01, 0.05))),
)
