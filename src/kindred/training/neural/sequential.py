"""Train the transformer over users' latest items, and export it."""

from time import perf_counter

import msgspec
import numpy as np
import torch

from kindred.core.errors import InvalidInput
from kindred.core.rng import seed_of, seeded
from kindred.models.forms import fastest
from kindred.models.sequential import SequentialConfig, SequentialModel
from kindred.training.fit.inputs import FitInput
from kindred.training.neural.device import pick_device
from kindred.training.neural.histories import histories
from kindred.training.neural.sequences.batches import Sequences, sequences_of
from kindred.training.neural.sequences.forms import export_forms, measured
from kindred.training.neural.sequences.loop import Trainer, Validation
from kindred.training.neural.sequences.network import SequentialNetwork

# A history and something to find behind it, when the item held out is gone.
LEAST = 3


def fit_sequential(data: FitInput, config: SequentialConfig) -> SequentialModel:
    """Learn to predict each liked item from those before it (SASRec: Kang, McAuley 2018; eSASRec: Tikhonovich et al.
    2025), until the validation users' held-out items are found no better.

    The same seed, device and threads give the same weights; which form of the encoder is served is measured. Nothing to
    learn from gives a model that knows no item.
    Raises InvalidInput where `heads` does not divide `factors`.
    """
    if config.factors % config.heads:
        raise InvalidInput.at("/sequential/heads", f"does not divide factors ({config.factors})")
    device = pick_device(data.threads)
    data.progress(f"sequential: {device.name}")
    sequences = sequences_of(histories(data))
    held = _held_out(sequences, config)
    kept = sequences.lengths
    kept[held.users] -= 1
    training = sequences.cut(kept)
    torch.manual_seed(config.seed)
    content = None if data.content is None else torch.from_numpy(np.array(data.content, np.float32))
    network = SequentialNetwork(config, data.n_items, len(data.interactions.names), content)
    trainer = Trainer(network, config, device)
    path = None if data.work is None else data.work / f"sequential-{_key(data, config):016x}.npz"
    if path is not None:
        trainer.resume(path)
    while (kept > 1).any() and not trainer.over:
        _pass(trainer, training, held, data)
        if path is not None:
            trainer.checkpoint(path)
    return _finish(trainer, training, held, data)


def _held_out(sequences: Sequences, config: SequentialConfig) -> Validation:
    """Choose the users whose latest item is to be found."""
    users = np.flatnonzero(sequences.lengths >= LEAST)
    chosen = seeded(config.seed, "held").permutation(users)[: config.validation_users]
    users = np.sort(chosen)
    return Validation(users, sequences.items[sequences.starts[users + 1] - 1])


def _pass(trainer: Trainer, training: Sequences, held: Validation, data: FitInput) -> None:
    """Learn from everything once, judge, and say how it went."""
    number, started = trainer.passes, perf_counter()
    torch.manual_seed(seed_of(trainer.config.seed, "pass", number) % 2**63)
    loss = trainer.one_pass(training, seeded(trainer.config.seed, "pass", number))
    ndcg, recall = trainer.validate(training, held)
    seconds = perf_counter() - started
    trainer.seconds += seconds
    data.progress(
        f"sequential: pass {number + 1}: loss {loss:.4f}, ndcg@10 {ndcg:.4f}, recall@10 {recall:.4f}, {seconds:.1f} s"
    )


def _finish(trainer: Trainer, training: Sequences, held: Validation, data: FitInput) -> SequentialModel:
    """Return the model of the best pass, its encoder in the fastest of the good forms."""
    network, config = trainer.best_network(), trainer.config
    known = np.unique(training.items)
    vectors = np.zeros((data.n_items, config.factors), np.float32)
    with torch.no_grad():
        vectors[known] = network.table().float().numpy()[known]
    graphs = export_forms(network.encoder, config)
    forms = tuple(measured(name, graph, vectors, training, held, config) for name, graph in graphs.items())
    for form in forms:
        data.progress(f"sequential: {form}")
    facts = (data.interactions.names, trainer.best_pass + 1, trainer.seconds, trainer.device.name)
    return SequentialModel(vectors, graphs[fastest(forms).name], *facts, config, forms)


def _key(data: FitInput, config: SequentialConfig) -> int:
    """Return what tells a checkpoint of this training from that of another; any may be taken further."""
    rows, config = data.preferences, msgspec.structs.replace(config, epochs=1, patience=1, quantised=True)
    seen = [len(rows), data.n_items, data.n_users, int(rows.items.sum()), int(rows.users.sum())]
    return seed_of(msgspec.json.encode(config).decode(), *seen)
