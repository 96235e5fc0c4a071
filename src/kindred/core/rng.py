"""Random numbers that a replay can draw again."""

import hashlib

import numpy as np
import xxhash


def seeded(*parts: str | int) -> np.random.Generator:
    """Return a generator whose stream is a pure function of `parts`."""
    return np.random.Generator(np.random.Philox(seed_of(*parts)))


def uniforms(count: int, *parts: str | int) -> list[float]:
    """Return numbers in [0, 1), a pure function of `parts`, for a few at a time: to start a generator takes longer.

    They are the words of SHAKE-128 (FIPS 202, 2015), 53 bits of each.
    """
    words = np.frombuffer(hashlib.shake_128(_joined(parts)).digest(8 * count), "<u8")
    found: list[float] = ((words >> np.uint64(11)) * 2.0**-53).tolist()
    return found


def seed_of(*parts: str | int) -> int:
    """Hash `parts` into 64 bits, the same on every machine and in every process."""
    return xxhash.xxh3_64_intdigest(_joined(parts))


def _joined(parts: tuple[str | int, ...]) -> bytes:
    return "\x1f".join(map(str, parts)).encode()
