"""Graphs are opened once, say where they run, and fail with what to do about it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from kindred.core.errors import BundleCorrupt, ConfigError
from kindred.models.layers import Layers
from kindred.models.onnx import open_graph


def write_scaling(folder: Path, factor: float) -> None:
    """Write `folder/scale.onnx`, which multiplies rows of two by `factor`."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = ["rows", 2]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
        [helper.make_tensor("factor", kind, [], [factor])],
    )
    folder.mkdir(parents=True)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), folder / "scale.onnx")


def test_a_graph_runs_and_says_where(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    write_scaling(tmp_path / "base", 2)
    graph = open_graph(tmp_path / "base", "scale")
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.array_equal(graph.run({"x": rows})[0], 2 * rows)
    assert graph.device in {"cpu", "cuda"}


def test_of_layers_the_newest_graph_counts(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    write_scaling(tmp_path / "base", 2)
    write_scaling(tmp_path / "delta", 3)
    graph = open_graph(Layers(tmp_path / "base", (tmp_path / "delta",)), "scale")
    assert np.array_equal(graph.run({"x": np.ones((1, 2), np.float32)})[0], [[3, 3]])


def test_a_damaged_or_missing_graph_is_a_corrupt_bundle(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(BundleCorrupt, match=r"scale\.onnx"):
        open_graph(tmp_path, "scale")
    write_scaling(tmp_path / "base", 2)
    path = tmp_path / "base" / "scale.onnx"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(BundleCorrupt, match=r"scale\.onnx"):
        open_graph(tmp_path / "base", "scale")


def test_without_the_runtime_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'kindred\[onnx\]'"):
        open_graph(tmp_path, "scale")
