"""Boosted trees as heads of the ranker: each as it was grown, and several joined so that one call asks them all."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from kindred.core.candidates import Floats


class Trees:
    """Boosted trees in XGBoost's UBJSON format (Chen and Guestrin 2016), opened when they are first asked."""

    def __init__(self, data: bytes) -> None:
        """Keep the bytes."""
        self.data = data

    @cached_property
    def booster(self) -> Any:
        """Return the library's model."""
        return _open(self.data)

    def margins(self, columns: Floats) -> Floats:
        """Return the sum of the trees (n,) float32 for `columns (n, f)`."""
        return _margins(self.booster, columns)

    def gains(self, columns: Floats) -> Floats:
        """Return what the splits on each column gained in all (f,) float32."""
        found = np.zeros(columns.shape[1], np.float32)
        for name, gain in self.booster.get_score(importance_type="total_gain").items():
            found[int(name.removeprefix("f"))] = gain
        return found

    def shares(self, columns: Floats) -> Floats:
        """Return what each column adds to each sum (n, f + 1), the last being the same for all (TreeSHAP, 2018)."""
        rows = xgboost().DMatrix(columns, nthread=1)
        found: Floats = self.booster.predict(rows, pred_contribs=True, validate_features=False)
        return found


class TreeHeads(Mapping[str, Trees]):
    """Heads by name."""

    def __init__(self, heads: Mapping[str, Trees]) -> None:
        """Keep the heads."""
        self._heads = dict(heads)
        self._joined: dict[tuple[str, ...], tuple[Any, Floats]] = {}

    def __getitem__(self, name: str) -> Trees:
        """Return a head."""
        return self._heads[name]

    def __iter__(self) -> Iterator[str]:
        """Name the heads."""
        return iter(self._heads)

    def __len__(self) -> int:
        """Return how many heads there are."""
        return len(self._heads)

    def together(self, names: Sequence[str], columns: Floats) -> Floats:
        """Return the margins (n, h) float32 of h heads for `columns (n, f)`.

        The heads are joined when they are first asked together: a call costs as much as some fifty trees.
        """
        asked = tuple(names)
        if asked not in self._joined:
            self._joined[asked] = joined([self._heads[name] for name in asked])
        booster, constants = self._joined[asked]
        return _margins(booster, columns).reshape(len(columns), len(asked)) + constants


def joined(heads: Sequence[Trees]) -> tuple[Any, Floats]:
    """Return one booster whose h outputs are the sums of each head's trees, and what each head adds (h,) float32."""
    documents = [msgspec.json.decode(bytes(head.booster.save_raw("json"))) for head in heads]
    whole = documents[0]
    learner, model = whole["learner"], whole["learner"]["gradient_booster"]["model"]
    trees = [one["learner"]["gradient_booster"]["model"]["trees"] for one in documents]
    model["trees"] = [{**tree, "id": place} for place, tree in enumerate(tree for mine in trees for tree in mine)]
    model["tree_info"] = [output for output, mine in enumerate(trees) for _ in mine]
    model["iteration_indptr"] = [0, len(model["trees"])]
    model["gbtree_model_param"] = {"num_parallel_tree": "1", "num_trees": str(len(model["trees"]))}
    learner["learner_model_param"] |= {"base_score": "0", "num_target": str(len(heads)), "num_class": "0"}
    # Of the objective only the plain sum of trees is wanted; each head's own constant is added apart.
    learner["objective"] = {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}}
    booster = _open(msgspec.json.encode(whole))
    nothing = np.full((1, int(learner["learner_model_param"]["num_feature"])), np.nan, np.float32)
    alone = np.concatenate([head.margins(nothing) for head in heads])
    return booster, alone - _margins(booster, nothing).ravel()


def xgboost() -> Any:
    """Return the library, loaded at the first call."""
    loaded = sys.modules.get("xgboost")
    if loaded is not None:
        return loaded
    # It loads scikit-learn for wrappers that nobody here uses, which a server has no room for.
    hidden = "sklearn" not in sys.modules
    if hidden:
        sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("xgboost")
    finally:
        if hidden:
            del sys.modules["sklearn"]


def _open(data: bytes) -> Any:
    booster = xgboost().Booster({"nthread": 1})
    booster.load_model(bytearray(data))
    return booster


def _margins(booster: Any, columns: Floats) -> Floats:
    found: Floats = booster.inplace_predict(columns, predict_type="margin", validate_features=False)
    return found
