"""Where fitted models are kept while a run is under way, so that a run that was cut off does not fit them again."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from kindred.models.protocol import Model

M = TypeVar("M", bound=Model)


class Keep(Protocol):
    """Keeps models by name."""

    @property
    def checkpoints(self) -> Path | None:
        """Return a folder for what a fit keeps of itself; None keeps nothing."""
        ...

    def model(self, name: str, fit: Callable[[], M], load: Callable[..., M]) -> M:
        """Return the model that was kept under `name`, or fit it and keep it; `load` opens a folder."""
        ...


class Unkept:
    """Keeps nothing."""

    checkpoints = None

    def model(self, name: str, fit: Callable[[], M], load: Callable[..., M]) -> M:
        """Fit the model."""
        return fit()
