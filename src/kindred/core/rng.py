"""Random numbers that a replay can draw again."""

import numpy as np
import xxhash


def seeded(*parts: str | int) -> np.random.Generator:
    """Return a generator whose stream is a pure function of `parts`."""
    return np.random.Generator(np.random.Philox(seed_of(*parts)))


def seed_of(*parts: str | int) -> int:
    """Hash `parts` into 64 bits, the same on every machine and in every process."""
    return xxhash.xxh3_64_intdigest("\x1f".join(str(part) for part in parts).encode())
