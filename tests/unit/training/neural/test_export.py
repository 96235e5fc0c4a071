"""What is exported says the same as what was trained, and quantised graphs nearly so."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from kindred.core.errors import BundleCorrupt  # noqa: E402
from kindred.models.onnx import open_graph  # noqa: E402
from kindred.training.neural import export  # noqa: E402
from kindred.training.neural.export import export_graph  # noqa: E402
from kindred.training.neural.quantise import quantise_graph  # noqa: E402

AXES = {"history": {0: "batch", 1: "length"}, "weights": {0: "batch", 1: "length"}}


class Pooled(torch.nn.Module):
    """Weighted mean of vectors, then two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(8, 64)
        self.out = torch.nn.Linear(64, 16)

    def forward(self, history: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return (b, 16) for histories (b, h, 8) and weights (b, h)."""
        pooled = (history * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
        return self.out(torch.relu(self.hidden(pooled)))


def example(batch: int, length: int) -> dict[str, torch.Tensor]:
    """Return random inputs."""
    return {"history": torch.randn(batch, length, 8), "weights": torch.rand(batch, length) + 0.1}


def test_graph_and_its_quantised_form_say_what_the_network_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Pooled()
    difference = export_graph(network, [example(3, 5), example(1, 1), example(2, 9)], AXES, tmp_path, "net", ["user"])
    assert difference <= export.TOLERANCE
    quantise_graph(tmp_path, "net", "net_int8")
    inputs = example(4, 7)
    wanted = network(**inputs).detach().numpy()
    arrays = {name: value.numpy() for name, value in inputs.items()}
    whole, small = (open_graph(tmp_path, name).run(arrays)[0] for name in ("net", "net_int8"))
    assert np.abs(whole - wanted).max() <= export.TOLERANCE
    assert 0 < np.abs(small - wanted).max() < 0.05
    assert (tmp_path / "net_int8.onnx").stat().st_size < (tmp_path / "net.onnx").stat().st_size


def test_a_graph_that_says_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(BundleCorrupt, match="differs from the network"):
        export_graph(Pooled(), [example(3, 5)], AXES, tmp_path, "net", ["user"])
    assert not list(tmp_path.glob("*.onnx"))
