"""The training loop: passes, the running mean of the weights, validation, early stopping and checkpoints."""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kindred.core.candidates import Floats, Ordinals
from kindred.models.sequential import SequentialConfig
from kindred.training.neural.checkpoint import load_checkpoint, save_checkpoint
from kindred.training.neural.device import Device
from kindred.training.neural.sequences.batches import (
    NO_TARGET,
    Batch,
    Sequences,
    history_batch,
    shuffled,
    training_batch,
    windows_of,
)
from kindred.training.neural.sequences.loss import full_softmax, sampled_softmax
from kindred.training.neural.sequences.network import SequentialNetwork

# Adam's first steps are too long for what it knows of the gradients.
WARM_UP = 200
DEPTH = 10
USERS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Validation:
    """Whose next item is to be found: `users (v,)` of the sequences, and `items (v,)`."""

    users: NDArray[np.intp]
    items: Ordinals


class Trainer:
    """A network with its optimiser, the running mean of its weights, and what each pass came to."""

    def __init__(self, network: SequentialNetwork, config: SequentialConfig, device: Device) -> None:
        """Prepare a network for training on `device`."""
        self.network = network.to(device.device)
        self.mean = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.best = _copied(self.mean.state_dict())
        self.config = config
        self.device = device
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.steps = 0
        self.ndcgs: list[float] = []
        self.seconds = 0.0

    @property
    def passes(self) -> int:
        """Return how many passes are done."""
        return len(self.ndcgs)

    @property
    def best_pass(self) -> int:
        """Return the number of the pass that found most, the latest where nothing is held out to be found; -1: none."""
        return max(range(self.passes), key=lambda number: (self.ndcgs[number], number), default=-1)

    @property
    def over(self) -> bool:
        """Say whether no pass is left or none of the latest was better."""
        waited = self.passes - 1 - self.best_pass
        return self.passes >= self.config.epochs or waited >= self.config.patience

    def best_network(self) -> SequentialNetwork:
        """Return the mean weights of the best pass, on the CPU."""
        self.mean.load_state_dict(self.best)
        return self.mean.cpu()

    def one_pass(self, sequences: Sequences, rng: np.random.Generator) -> float:
        """Learn from every window once, in a random order; return the mean loss of a next item."""
        begins, ends = windows_of(sequences, self.config.max_length)
        self.network.train()
        total = 0.0
        for rows in shuffled(begins, ends, self.config.batch, rng):
            batch = training_batch(sequences, begins[rows], ends[rows])
            total += self._step(batch) * int((batch.targets != NO_TARGET).sum())
        return total / max(int((ends - begins - 1).sum()), 1)

    def _step(self, batch: Batch) -> float:
        """Learn from one batch and return its loss."""
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * min(1.0, self.steps / WARM_UP)
        loss = self._loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        # The mean follows fast at first, when there is little worth keeping.
        follow = 1 - min(self.config.average, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.network.parameters()), follow)
        return loss.item()

    def _loss(self, batch: Batch) -> Tensor:
        config = self.config
        with self.device.autocast():
            table = self.network.table()
            hidden = self.network.encode(table, *self._columns(batch))
            targets = torch.from_numpy(batch.targets).to(self.device.device)
            asked = targets != NO_TARGET
            found, targets = hidden[asked], targets[asked]
            if 0 < config.negatives < len(table):
                return sampled_softmax(found, table, targets, config.temperature, config.negatives)
            return full_softmax(found, table, targets, config.temperature)

    def _columns(self, batch: Batch) -> list[Tensor]:
        columns = (batch.items, batch.places, batch.gaps, batch.types)
        return [torch.from_numpy(column).to(self.device.device) for column in columns]

    @torch.no_grad()
    def validate(self, sequences: Sequences, wanted: Validation) -> tuple[float, float]:
        """End a pass: return NDCG@10 and the share of wanted items in the first ten, those of the history left out."""
        table = self.mean.table().float()
        # Rows alike in length need little filling up.
        order = np.argsort(sequences.lengths[wanted.users], kind="stable")
        parts = np.split(order, range(USERS_AT_ONCE, len(order), USERS_AT_ONCE))
        ranks = np.concatenate([self._ranks(sequences, wanted, rows, table) for rows in parts])
        ndcg = ndcg_of(ranks)
        self.ndcgs.append(ndcg)
        if self.best_pass == self.passes - 1:
            self.best = _copied(self.mean.state_dict())
        return ndcg, float((ranks < DEPTH).sum() / max(len(ranks), 1))

    def _ranks(
        self, sequences: Sequences, wanted: Validation, rows: NDArray[np.intp], table: Tensor
    ) -> NDArray[np.intp]:
        """Return how many items stand before each wanted one."""
        users = wanted.users[rows]
        begins, ends = sequences.starts[users], sequences.starts[users + 1]
        batch = history_batch(sequences, np.maximum(begins, ends - self.config.max_length), ends)
        with self.device.autocast():
            hidden = self.mean.encode(table, *self._columns(batch))
        each = torch.arange(len(users))
        last = hidden[each, torch.from_numpy((batch.places == 0).argmax(axis=1))]
        return ranks_of((last.float() @ table.T).cpu().numpy(), sequences, users, wanted.items[rows])

    def checkpoint(self, path: Path) -> None:
        """Write where the training stands."""
        extra = {"ndcgs": torch.tensor(self.ndcgs, dtype=torch.float64), "steps": torch.tensor(self.steps)}
        extra["seconds"] = torch.tensor(self.seconds, dtype=torch.float64)
        extra |= {f"best.{name}": value for name, value in self.best.items()}
        extra |= {f"mean.{name}": value for name, value in self.mean.state_dict().items()}
        save_checkpoint(path, self.network, self.optimizer, extra)

    def resume(self, path: Path) -> None:
        """Go on where a checkpoint stands, where there is one."""
        extra = load_checkpoint(path, self.network, self.optimizer)
        if extra is None:
            return
        self.ndcgs, self.steps, self.seconds = extra["ndcgs"].tolist(), int(extra["steps"]), float(extra["seconds"])
        self.best = {name.removeprefix("best."): value for name, value in extra.items() if name.startswith("best.")}
        self.mean.load_state_dict({name: extra[f"mean.{name}"] for name in self.mean.state_dict()})


def ranks_of(scores: Floats, sequences: Sequences, users: NDArray[np.intp], wanted: Ordinals) -> NDArray[np.intp]:
    """Return how many items stand before each of `wanted (b,)` in `scores (b, n)`, which are overwritten.

    The items of a user's own row are left out.
    """
    own = scores[np.arange(len(users)), wanted]
    for place, (begin, end) in enumerate(zip(sequences.starts[users], sequences.starts[users + 1], strict=True)):
        scores[place, sequences.items[begin:end]] = -np.inf
    ranks: NDArray[np.intp] = np.count_nonzero(scores > own[:, None], axis=1)
    return ranks


def ndcg_of(ranks: NDArray[np.intp]) -> float:
    """Return the mean NDCG@10 of one wanted item each, by how many stand before it; 0 without any."""
    return float(np.where(ranks < DEPTH, 1 / np.log2(2 + ranks), 0).sum() / max(len(ranks), 1))


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a copy of a network's state on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in state.items()}
