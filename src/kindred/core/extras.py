"""Extras: optional parts of the package, and whether they are installed."""

from importlib.util import find_spec

MODULES = {"onnx": ("onnxruntime",), "mlflow": ("mlflow",), "neural": ("torch", "onnx", "onnxscript", "onnxruntime")}
"""By extra, the modules that it brings."""


def missing_extra(extra: str) -> str | None:
    """Return the command that installs `extra`, or None where all of its modules are there, or it is ""."""
    if all(find_spec(module) is not None for module in MODULES.get(extra, ())):
        return None
    return f"pip install 'kindred[{extra}]'"
