"""How long the sequential model takes for the vector of one history: `python -m benchmarks.encoder_speed`.

Untrained encoders of the usual sizes, exported as a training exports them and asked as a request asks, on one thread.
"""

import sys
from time import perf_counter

import numpy as np

from kindred.models.protocol import UserHistory
from kindred.models.sequential import SequentialConfig, SequentialModel
from kindred.training.neural.sequences.forms import export_forms
from kindred.training.neural.sequences.network import SequentialNetwork

N_ITEMS = 1_000
ASKED = 500
SIZES = {
    "default": SequentialConfig(),
    "two layers, two heads": SequentialConfig(layers=2, heads=2),
    "preset seed-transformer": SequentialConfig(layers=4, heads=8, inner=512),
}


def models_of(config: SequentialConfig) -> dict[str, SequentialModel]:
    """Return an untrained model, by the form of its encoder."""
    network = SequentialNetwork(config, N_ITEMS, 1, None).eval()
    vectors = network.table().detach().numpy()
    graphs = export_forms(network.encoder, config)
    return {name: SequentialModel(vectors, graph, ("view",), 0, 0.0, "", config, ()) for name, graph in graphs.items()}


def history_of(length: int) -> UserHistory:
    """Return a history of so many items, newest first."""
    times = 1_700_000_000_000 - 60_000 * np.arange(length, dtype=np.int64)
    ones = np.ones(length, np.float32)
    types = np.zeros(length, np.int16)
    return UserHistory(np.arange(length, dtype=np.int32), ones, ones > 0, times, types, ("view",))


def main() -> None:
    """Print the median, the 95th and the 99th of a hundred, in ms, by size and precision."""
    asked = history_of(50)
    for name, config in SIZES.items():
        for form, model in models_of(config).items():
            took = []
            for _ in range(ASKED):
                started = perf_counter()
                model.represent(asked)
                took.append(perf_counter() - started)
            middle, high, highest = np.percentile(took[ASKED // 10 :], (50, 95, 99)) * 1_000
            size = len(model.encoder.data) / 1024
            sys.stdout.write(f"{name}, {form}: {middle:.2f}, {high:.2f}, {highest:.2f} ms; {size:,.0f} KiB\n")


if __name__ == "__main__":
    main()
