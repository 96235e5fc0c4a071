"""What every model of a bundle can do."""

from pathlib import Path
from typing import Protocol, Self

from kindred.models.layers import Folder


class Model(Protocol):
    """Trained arrays over the catalogue's ordinals `[0, n_items)`, kept in one folder of a bundle."""

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        ...

    def save(self, folder: Path) -> None:
        """Write the arrays as `.npy` and small text as JSON into `folder`, which is made where it is missing."""
        ...

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays of `folder` read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        ...
