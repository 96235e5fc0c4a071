"""The retrieval models that a bundle may hold, by name."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kindred.core.config import unknown_key
from kindred.core.errors import BundleMismatch, ConfigError
from kindred.core.extras import missing_extra
from kindred.models.als import AlsModel
from kindred.models.ease import EaseModel
from kindred.models.graph import GraphModel
from kindred.models.item_item import ItemItemModel
from kindred.models.layers import Folder
from kindred.models.protocol import Retriever
from kindred.models.sequential import SequentialModel
from kindred.models.two_tower import TwoTowerModel


class RetrieverKind(NamedTuple):
    """How a retrieval model is opened: its class, and the extra of the package that serving it needs (none: "")."""

    model: type[Retriever]
    extra: str = ""


RETRIEVERS: Mapping[str, RetrieverKind] = {
    "als": RetrieverKind(AlsModel),
    "item_item": RetrieverKind(ItemItemModel),
    "ease": RetrieverKind(EaseModel),
    "graph": RetrieverKind(GraphModel),
    "sequential": RetrieverKind(SequentialModel, "onnx"),
    "two_tower": RetrieverKind(TwoTowerModel, "onnx"),
}
"""By name; the same name stands in the settings, in a bundle's folders, in traces and in columns `model.<name>`."""


def check_retrievers(names: Iterable[str]) -> None:
    """Raise ConfigError for a name that no retrieval model has, or one that stands there twice."""
    met: set[str] = set()
    for name in names:
        if name not in RETRIEVERS:
            raise ConfigError(f"retrieval: {name!r}: {unknown_key(name, RETRIEVERS)}")
        if name in met:
            raise ConfigError(f"retrieval: {name!r} stands there twice")
        met.add(name)


def open_retriever(name: str, folder: Folder) -> Retriever:
    """Map a bundle's retrieval model.

    Raises BundleMismatch for one that this release does not know or that needs an extra which is not installed, with
    the line that installs it; BundleCorrupt for damaged files.
    """
    kind = RETRIEVERS.get(name)
    if kind is None:
        raise BundleMismatch(f"the bundle holds the model {name!r}, which this release does not know: train anew")
    needed = missing_extra(kind.extra)
    if needed is not None:
        raise BundleMismatch(f"the bundle's model {name!r} cannot be served without: {needed}")
    return kind.model.load(folder)
