"""Train the two towers, epoch by epoch, until the validation users' next items are found no better."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from kindred.core.candidates import Floats
from kindred.core.rng import seed_of, seeded
from kindred.evaluation import metrics
from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.ranking import rank_all
from kindred.models.onnx import OnnxGraph, open_graph
from kindred.models.two_tower import CONTEXT, SIGNALS, USER_GRAPH, EpochFigures, TwoTowerConfig, TwoTowerModel
from kindred.training.fit.inputs import FitInput
from kindred.training.neural.checkpoint import load_checkpoint, save_checkpoint
from kindred.training.neural.device import Device, pick_device
from kindred.training.neural.examples import Examples, Rows, examples
from kindred.training.neural.export import export_graph
from kindred.training.neural.histories import histories
from kindred.training.neural.sampling import Sampler, sampled_softmax
from kindred.training.neural.towers import Towers, UserTower

CUTOFF = 20
BLOCK = 4_096
AXES = {
    "vectors": {0: "users", 1: "length"},
    **{name: {0: "users", 1: "length"} for name in ("liked", "disliked", "signals", "types")},
    "context": {0: "users"},
}


@dataclass(slots=True)
class Training:
    """A training under way; `best`: the network's state after its best epoch."""

    network: Towers
    optimizer: torch.optim.AdamW
    device: Device
    examples: Examples
    sampler: Sampler
    config: TwoTowerConfig
    figures: list[EpochFigures]
    best: dict[str, Tensor]

    @property
    def best_epoch(self) -> int:
        """Return the number of the epoch that found most, or fitted best where nothing is held out to be found."""
        return max(range(len(self.figures)), key=lambda epoch: (self.figures[epoch].ndcg, -self.figures[epoch].loss))

    @property
    def over(self) -> bool:
        """Say whether no epoch is left or none of the latest was better."""
        done = len(self.figures)
        return done >= self.config.epochs or (done > 0 and done - 1 - self.best_epoch >= self.config.patience)


def fit_two_tower(data: FitInput, config: TwoTowerConfig) -> TwoTowerModel:
    """Learn both towers (Covington, Adams, Sargin 2016; Yi et al. 2019; mixed negatives: Yang et al. 2020).

    Each liked item is learnt from the history before it. The same seed, device and threads give the same model.
    Nothing to learn from gives a model that knows no item.
    """
    training = _begin(data, config)
    data.progress(f"two_tower: {training.device.name}")
    path = None if data.work is None else data.work / f"two_tower-{_key(data, config):016x}.npz"
    if path is not None:
        _resume(training, path)
    while len(training.examples.train) and not training.over:
        figures = _epoch(training)
        data.progress(
            f"two_tower: epoch {len(training.figures)}: loss {figures.loss:.4f}, recall@{CUTOFF} {figures.recall:.4f}, "
            f"ndcg@{CUTOFF} {figures.ndcg:.4f}, {figures.seconds:.1f} s"
        )
        if path is not None:
            _checkpoint(training, path)
    return _finish(training, data)


def _begin(data: FitInput, config: TwoTowerConfig) -> Training:
    """Build the network and its examples."""
    device = pick_device(data.threads)
    torch.manual_seed(config.seed)
    past = histories(data)
    chosen = examples(past, config.history, config.validation_users, seeded(config.seed, "held"))
    content = np.zeros((data.n_items, 0), np.float32) if data.content is None else np.array(data.content, np.float32)
    identified = np.bincount(past.items, minlength=data.n_items) > 0
    network = Towers(content, identified, 1 + len(data.interactions.names), config).to(device.device)
    targets = past.items[chosen.train].astype(np.int64)
    return Training(
        network,
        torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay),
        device,
        chosen,
        Sampler.over(identified | content.any(axis=1), targets, config.negatives),
        config,
        [],
        _state(network),
    )


def _epoch(training: Training) -> EpochFigures:
    """Learn from up to `epoch_rows` examples once, judge, and keep the state where it is the best."""
    started, number, config = perf_counter(), len(training.figures), training.config
    rng = seeded(config.seed, "epoch", number)
    torch.manual_seed(seed_of(config.seed, "hidden", number) % 2**63)
    training.network.train()
    rows = rng.permutation(training.examples.train)[: config.epoch_rows]
    losses = [_step(training, rows[at : at + config.batch], rng) for at in range(0, len(rows), config.batch)]
    recall, ndcg = _judge(training)
    seconds = round(perf_counter() - started, 3)
    training.figures.append(EpochFigures(float(np.mean(losses)), recall, ndcg, seconds))
    if training.best_epoch == number:
        training.best = _state(training.network)
    return training.figures[-1]


def _step(training: Training, rows: Rows, rng: np.random.Generator) -> float:
    """Learn from one batch and return its loss."""
    network, past, config, device = training.network, training.examples.histories, training.config, training.device
    pool = training.sampler.pool(past.items[rows].astype(np.int64), rng)
    weights = torch.from_numpy(past.confidence[rows]).to(device.device)
    with device.autocast():
        users = network.users(training.examples.inputs(rows), device.device)
        items = network.item(network.base(torch.from_numpy(pool.items).to(device.device), config.id_dropout))
        loss = sampled_softmax(users, items, pool, weights, config.temperature)
    training.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    training.optimizer.step()
    return loss.item()


@torch.no_grad()
def _judge(training: Training) -> tuple[float, float]:
    """Return Recall@20 and NDCG@20 of the held-out items among all items not in the history; 0 without any."""
    chosen, past = training.examples, training.examples.histories
    if not len(chosen.held):
        return 0.0, 0.0
    _, vectors = _items(training)
    training.network.eval()
    users = np.searchsorted(past.offsets, chosen.held, side="right") - 1
    starts = past.offsets[users]
    seen = [past.items[start:row] for start, row in zip(starts, chosen.held, strict=True)]
    lengths = chosen.held - starts
    each = np.arange(len(users))

    def scores(start: int, stop: int) -> Floats:
        mine = training.network.users(chosen.inputs(chosen.held[start:stop]), training.device.device)
        block: Floats = mine.float().cpu().numpy() @ vectors.T
        block[:, ~vectors.any(axis=1)] = -np.inf
        return block

    sets = from_pairs(np.repeat(each, lengths), np.concatenate(seen), len(users))
    ranked = rank_all(scores, sets, len(vectors), CUTOFF)
    found = metrics.judge(ranked, from_pairs(each, past.items[chosen.held], len(users)))
    return float(metrics.recall(found, CUTOFF).mean()), float(metrics.ndcg(found, CUTOFF).mean())


@torch.no_grad()
def _items(training: Training) -> tuple[Floats, Floats]:
    """Return what the user tower reads of every item (n, e) and its vector (n, d); zero where nothing is known."""
    network, n_items = training.network.eval(), len(training.sampler.popularity)
    bases, vectors = [], []
    for start in range(0, n_items, BLOCK):
        base = network.base(torch.arange(start, min(start + BLOCK, n_items), device=training.device.device))
        bases.append(base.cpu().numpy())
        vectors.append(network.item(base).cpu().numpy())
    usable = np.zeros((n_items, 1), np.float32)
    usable[training.sampler.items] = 1
    config = training.config
    empty = [np.zeros((0, width), np.float32) for width in (config.embedding, config.layers[-1])]
    return np.concatenate([*bases, empty[0]]) * usable, np.concatenate([*vectors, empty[1]]) * usable


def _finish(training: Training, data: FitInput) -> TwoTowerModel:
    """Return the model of the best epoch."""
    training.network.load_state_dict(training.best)
    history_vectors, item_vectors = _items(training)
    device = training.device.name
    return TwoTowerModel(
        item_vectors,
        history_vectors,
        _graph(training),
        data.interactions.names,
        tuple(training.figures),
        device,
        training.config,
    )


def _graph(training: Training) -> OnnxGraph:
    """Export the user tower; other lengths than the traced one are compared too."""
    tower = training.network.user.cpu()
    with TemporaryDirectory() as made:
        samples = [
            _sample(tower, *shape, training.config.embedding)
            for shape in ((2, 3), (1, 1), (3, training.config.history))
        ]
        export_graph(tower, samples, AXES, Path(made), USER_GRAPH, ["user"])
        return open_graph(Path(made), USER_GRAPH)


def _sample(tower: UserTower, users: int, length: int, embedding: int) -> dict[str, Tensor]:
    """Return random inputs of the user tower."""
    return {
        "vectors": torch.randn(users, length, embedding),
        "liked": torch.ones(users, length),
        "disliked": torch.zeros(users, length),
        "signals": torch.rand(users, length, SIGNALS),
        "types": torch.randint(tower.of_type.num_embeddings, (users, length)),
        "context": torch.rand(users, CONTEXT),
    }


def _state(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's state."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _key(data: FitInput, config: TwoTowerConfig) -> int:
    """Return what tells a checkpoint of this training from that of another."""
    rows = data.preferences
    seen = [len(rows), data.n_items, data.n_users, int(rows.items.sum()), int(rows.users.sum())]
    return seed_of(msgspec.json.encode(config).decode(), *seen)


def _checkpoint(training: Training, path: Path) -> None:
    """Write where the training stands."""
    figures = torch.tensor([msgspec.structs.astuple(each) for each in training.figures], dtype=torch.float64)
    best = {f"best.{name}": value for name, value in training.best.items()}
    save_checkpoint(path, training.network, training.optimizer, {"figures": figures, **best})


def _resume(training: Training, path: Path) -> None:
    """Go on where a checkpoint stands, where there is one."""
    extra = load_checkpoint(path, training.network, training.optimizer)
    if extra is not None:
        training.figures.extend(EpochFigures(*row) for row in extra.pop("figures").tolist())
        training.best = {name.removeprefix("best."): value for name, value in extra.items()}
