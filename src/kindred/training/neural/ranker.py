"""Train the ranker's network: all heads at once, over the columns that trees read."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from kindred.core.candidates import Floats
from kindred.core.errors import InvalidInput
from kindred.core.rng import seeded
from kindred.models.neural_ranker import NetworkHeads, NeuralRankerConfig
from kindred.models.ranker import ORDER
from kindred.training.fit.inputs import Progress, silent
from kindred.training.neural.compression import serve
from kindred.training.neural.cross import CrossNetwork, margins_of
from kindred.training.neural.device import Device, pick_device
from kindred.training.neural.distill import teach
from kindred.training.neural.lists import Lists


def fit_network(
    examples: Lists,
    events: Sequence[str],
    config: NeuralRankerConfig,
    threads: int = 0,
    progress: Progress = silent,
) -> NetworkHeads:
    """Learn to order lists and the chance of each of `events` in one network, and keep what serves best.

    The order is learnt by softmax over each list (Cao et al. 2007), chances by cross entropy. Raises
    InvalidInput where no list holds anything relevant.
    """
    if not examples.relevant.any():
        raise InvalidInput.at("/relevant", "marks no row: a ranker learns from what was wanted")
    device = pick_device(threads)
    progress(f"ranker: network on {device.name}")
    learnt, held = examples.split(config.held, seeded(config.seed, "held"))
    torch.manual_seed(config.seed)
    network = CrossNetwork(torch.from_numpy(learnt.columns), config.cross_layers, config.layers, 1 + len(events))
    _train(network.to(device.device), learnt, held, config, device, progress)
    torch.manual_seed(config.seed)
    student = CrossNetwork(torch.from_numpy(learnt.columns), 1, config.student_layers, 1 + len(events))
    teach(student.to(device.device), network, learnt.columns, config, device)
    graph, forms = serve(network, student, held, progress)
    return NetworkHeads((ORDER, *events), graph, _usual(learnt.columns), forms)


def _train(
    network: CrossNetwork,
    learnt: Lists,
    held: Lists,
    config: NeuralRankerConfig,
    device: Device,
    progress: Progress,
) -> None:
    """Learn until held-out lists are ordered no better, and put the network back to its best epoch."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    best, since = (-1.0, network.state_dict()), 0
    for epoch in range(config.epochs):
        rng = seeded(config.seed, "epoch", epoch)
        losses = [_step(network, optimizer, batch, device) for batch in _batches(learnt, config.batch, rng)]
        found = held.ndcg(margins_of(network, held.columns)[:, 0])
        progress(f"ranker: epoch {epoch + 1}: loss {np.mean(losses):.4f}, ndcg@10 {found:.4f}")
        if found > best[0]:
            best, since = (found, {name: value.clone() for name, value in network.state_dict().items()}), 0
        else:
            since += 1
        if since >= config.patience:
            break
    network.load_state_dict(best[1])


def _batches(examples: Lists, size: int, rng: np.random.Generator) -> Iterator[Lists]:
    """Give all lists once, `size` at a time, in random order."""
    lists, _ = examples.places()
    order = rng.permutation(int(lists.max()) + 1)
    for start in range(0, len(order), size):
        yield examples.take(np.isin(lists, order[start : start + size]))


def _step(network: CrossNetwork, optimizer: torch.optim.AdamW, batch: Lists, device: Device) -> float:
    """Learn from some lists and return their loss."""
    network.train()
    columns, labels = (torch.from_numpy(each).to(device.device) for each in (batch.columns, batch.labels))
    with device.autocast():
        margins = network(columns).float()
    loss = _list_loss(margins[:, 0], batch)
    if labels.shape[1]:
        loss = loss + binary_cross_entropy_with_logits(margins[:, 1:], labels.float())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.item())


def _list_loss(margins: Tensor, batch: Lists) -> Tensor:
    """Return the mean cross entropy of what is relevant in a softmax over each list; 0 where nothing is."""
    numbers, within = batch.places()
    lists, places = torch.from_numpy(numbers).to(margins.device), torch.from_numpy(within).to(margins.device)
    padded = margins.new_full((int(numbers[-1]) + 1, int(within.max()) + 1), -torch.inf)
    padded = padded.index_put((lists, places), margins)
    rows = torch.from_numpy(batch.relevant).to(margins.device)
    wanted = padded.log_softmax(dim=1)[lists[rows], places[rows]]
    return -wanted.sum() / max(int(rows.sum()), 1)


def _usual(columns: Floats) -> Floats:
    """Return each column's median (f,) float32; NaN where it never has a value."""
    seen = ~np.isnan(columns).all(axis=0)
    usual = np.full(columns.shape[1], np.nan, np.float32)
    usual[seen] = np.nanmedian(columns[:, seen], axis=0)
    return usual
