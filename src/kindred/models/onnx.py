"""Neural graphs in ONNX files: ONNX Runtime runs them, and is loaded with the first graph that is opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from kindred.core.errors import BundleCorrupt, ConfigError
from kindred.models.layers import Folder, layered

PROVIDERS = {"CUDAExecutionProvider": "cuda", "CPUExecutionProvider": "cpu"}
"""What may run a graph, the preferred first, and what people call it."""


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """One graph and the session that runs it; `data`: its file, `device`: `cuda` or `cpu`, what it really runs on.

    Threads may share it. Tables over items belong into `.npy` files beside it, which all processes of a server share
    by mapping them: a session keeps weights of its own.
    """

    data: bytes = field(repr=False)
    device: str
    _session: Any = field(repr=False)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs in the graph's order, for inputs by name in the dtypes that it was exported with."""
        outputs: list[NDArray[Any]] = self._session.run(None, dict(inputs))
        return outputs

    def save(self, folder: Path, name: str) -> None:
        """Write `folder/name.onnx`."""
        (folder / f"{name}.onnx").write_bytes(self.data)


def open_graph(folder: Folder, name: str, threads: int = 1) -> OnnxGraph:
    """Open `folder/name.onnx`, of layers the newest, on a GPU where ONNX Runtime has one, on `threads` cores elsewhere.

    `threads`: 1 by default, since the processes of a server use the cores already; 0 = all. Raises ConfigError without
    the onnxruntime package, BundleCorrupt for a file that is missing, cut short or no graph.
    """
    runtime = _runtime()
    path = layered(folder).newest(f"{name}.onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads that spin take the cores from whoever serves beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Warnings are about the graph's making; what fails is raised.
    options.log_severity_level = 3
    usable = [provider for provider in PROVIDERS if provider in runtime.get_available_providers()]
    try:
        data = path.read_bytes()
        session = runtime.InferenceSession(data, options, providers=usable)
    except Exception as error:  # The runtime's errors have no common base of their own.
        raise BundleCorrupt(f"{path.name} in {path.parent} cannot be opened: {error}") from error
    return OnnxGraph(data, PROVIDERS[session.get_providers()[0]], session)


def _runtime() -> ModuleType:
    """Return the onnxruntime module; raise ConfigError with what installs it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError("a neural model needs ONNX Runtime: pip install 'kindred[onnx]'") from error
    module: ModuleType = onnxruntime
    return module
