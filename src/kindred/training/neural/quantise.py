"""Quantise an ONNX graph: weights as INT8, activations quantised as they arrive."""

import logging
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic


def quantise_graph(folder: Path, name: str, quantised: str) -> None:
    """Write `folder/quantised.onnx`, the graph `folder/name.onnx` with its matrix products in INT8.

    Dynamic quantisation, one scale per output channel of the weights (Jacob et al. 2018); it needs no calibration data.
    """
    # It advises a preparation that exported graphs went through already.
    logging.getLogger().addFilter(_no_advice)
    try:
        quantize_dynamic(
            folder / f"{name}.onnx",
            folder / f"{quantised}.onnx",
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.getLogger().removeFilter(_no_advice)


def _no_advice(record: logging.LogRecord) -> bool:
    return "pre-process" not in record.getMessage()
