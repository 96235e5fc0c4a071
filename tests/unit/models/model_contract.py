"""What every model must keep: one mixin, inherited by each model's test class."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from kindred.core.errors import BundleCorrupt


def backing(array: np.ndarray) -> list[type]:
    """Return the types under an array, from itself to the memory that holds it."""
    found: list[type] = []
    base: Any = array
    while base is not None:
        found.append(type(base))
        base = getattr(base, "base", None)
    return found


class ModelContract:
    """A model's class inherits this and says how to fit it, ask it, and which arrays it holds."""

    arrays: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def fit(self) -> Any:
        """Fit the model on the same small data every time."""

    @abstractmethod
    def ask_unknown(self, model: Any) -> list[np.ndarray]:
        """Ask about ordinals outside the catalogue and empty histories; return arrays that must be empty, 0 or -1."""

    @abstractmethod
    def ask(self, model: Any) -> tuple[np.ndarray, np.ndarray]:
        """Ask a usual question; return ordinals and scores."""

    @pytest.fixture
    def saved(self, tmp_path: Path) -> tuple[Any, Path]:
        """Return a fitted model and the folder it was saved in."""
        model, folder = self.fit(), tmp_path / "deep" / "model"
        model.save(folder)
        return model, folder

    def test_load_gives_back_what_was_saved(self, saved: tuple[Any, Path]) -> None:
        model, folder = saved
        loaded = type(model).load(folder)
        assert loaded.n_items == model.n_items > 0
        assert loaded.config == model.config
        for name in self.arrays:
            np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
        for mine, theirs in zip(self.ask(model), self.ask(loaded), strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def test_arrays_are_mapped_and_read_only(self, saved: tuple[Any, Path]) -> None:
        model, folder = saved
        loaded = type(model).load(folder)
        assert self.arrays
        for name in self.arrays:
            array = getattr(loaded, name)
            assert np.memmap in backing(array), name
            assert not array.flags.writeable, name

    def test_files_are_arrays_and_json_alone(self, saved: tuple[Any, Path]) -> None:
        _, folder = saved
        for path in folder.iterdir():
            assert path.suffix in {".npy", ".json"}, path.name
            if path.suffix == ".npy":
                assert not np.load(path, allow_pickle=False).dtype.hasobject
            else:
                msgspec.json.decode(path.read_bytes())

    def test_same_data_same_model(self) -> None:
        first, second = self.fit(), self.fit()
        for name in self.arrays:
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))

    def test_answers_stay_in_the_catalogue(self) -> None:
        model = self.fit()
        items, scores = self.ask(model)
        assert len(items) == len(scores) > 0
        assert np.issubdtype(items.dtype, np.int32)
        assert scores.dtype == np.float32
        assert items.min() >= 0
        assert items.max() < model.n_items
        assert len(set(items.tolist())) == len(items)
        assert np.isfinite(scores).all()

    def test_unknown_is_nothing(self) -> None:
        for answer in self.ask_unknown(self.fit()):
            assert len(answer) == 0 or set(np.unique(answer).tolist()) <= {0, -1}

    def test_every_damaged_file_is_said(self, saved: tuple[Any, Path]) -> None:
        model, folder = saved
        for path in sorted(folder.iterdir()):
            whole = path.read_bytes()
            for damaged in (None, b"", whole[: len(whole.rstrip(bytes(1))) // 2], b"PK\x03\x04" + whole[4:]):
                path.unlink(missing_ok=True)
                if damaged is not None:
                    path.write_bytes(damaged)
                with pytest.raises(BundleCorrupt, match=path.stem):
                    type(model).load(folder)
            path.write_bytes(whole)
        type(model).load(folder)

    def test_another_shape_or_dtype_is_said(self, saved: tuple[Any, Path]) -> None:
        model, folder = saved
        for path in sorted(folder.glob("*.npy")):
            array = np.load(path)
            for wrong in (array[None], array.astype(np.complex64), np.array([{}], dtype=object)):
                np.save(path, wrong, allow_pickle=True)
                with pytest.raises(BundleCorrupt, match=path.stem):
                    type(model).load(folder)
            np.save(path, array)
        type(model).load(folder)
