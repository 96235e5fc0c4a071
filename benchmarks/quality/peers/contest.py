"""What every contestant does alike: reads the split, fits, ranks all items, and tells seconds and memory.

Imported in each package's own environment, where only numpy and scipy are sure to be there.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

DEPTH = 20
BLOCK = 512

Settings = Mapping[str, Any]
ScoreBlock = Callable[[int, int], NDArray[np.floating]]
"""Scores of users `start` to `stop` for all items, (stop - start, n_items)."""
Fit = Callable[[csr_matrix, Settings], ScoreBlock]
"""Fits on `train (u, n)` of ones and returns what scores."""


def compete(systems: Mapping[str, Fit]) -> None:
    """Fit the system that the command line names and write its lists: SYSTEM SETTINGS-AS-JSON SPLIT.npz OUT.npz."""
    name, settings, split, out = sys.argv[1:]
    train = read_train(Path(split))
    started = process_time()
    score = systems[name](train, json.loads(settings))
    fitted = process_time() - started
    peak = peak_mib()
    np.savez(out, ranked=ranked(score, train), seconds=fitted, peak_mib=peak)


def peak_mib() -> float:
    """Return the most memory held since this program began, MiB; getrusage would count the parent's share too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def read_train(split: Path) -> csr_matrix:
    """Return what may be learned from as ones, (u, n) float32."""
    with np.load(split) as kept:
        shape = (int(kept["n_users"]), int(kept["n_items"]))
        ones = np.ones(len(kept["train_users"]), np.float32)
        return csr_matrix((ones, (kept["train_users"], kept["train_items"])), shape=shape)


def ranked(score: ScoreBlock, train: csr_matrix) -> NDArray[np.int32]:
    """Return each user's best unseen items (u, DEPTH), equal scores by ordinal; what is no number is ranked last."""
    n_users = train.shape[0]
    out = np.empty((n_users, DEPTH), np.int32)
    for start in range(0, n_users, BLOCK):
        stop = min(start + BLOCK, n_users)
        block = np.nan_to_num(np.array(score(start, stop), np.float64), nan=-1e300, posinf=1e300, neginf=-1e300)
        block[train[start:stop].nonzero()] = -np.inf
        out[start:stop] = np.argsort(-block, axis=1, kind="stable")[:, :DEPTH]
    return out


def factors(users: NDArray[np.floating], items: NDArray[np.floating]) -> ScoreBlock:
    """Score by inner products of `users (u, d)` and `items (n, d)`."""
    return lambda start, stop: users[start:stop] @ items.T


def neighbours(train: csr_matrix, similarity: csr_matrix) -> ScoreBlock:
    """Score by the sum over a user's items of their `similarity (n, n)`."""
    return lambda start, stop: (train[start:stop] @ similarity).toarray()
