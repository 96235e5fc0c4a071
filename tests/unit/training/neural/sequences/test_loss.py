"""Losses are the cross-entropies that they say they are."""

import pytest

torch = pytest.importorskip("torch")

from torch.nn.functional import cross_entropy  # noqa: E402

from kindred.training.neural.sequences import loss  # noqa: E402
from kindred.training.neural.sequences.network import Dropout  # noqa: E402


def inputs(rows: int = 40, items: int = 30) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return hidden vectors, a table and targets."""
    drawn = torch.Generator().manual_seed(1)
    hidden = torch.randn(rows, 8, generator=drawn, requires_grad=True)
    table = torch.randn(items, 8, generator=drawn, requires_grad=True)
    return hidden, table, torch.randint(items, (rows,), generator=drawn)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_full_softmax_and_its_gradients_are_those_of_cross_entropy(
    temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "SLICE", 16)
    hidden, table, targets = inputs()
    wanted = cross_entropy(hidden @ table.T / (temperature or 1), targets)
    gradients = torch.autograd.grad(wanted, (hidden, table))
    found = loss.full_softmax(hidden, table, targets, temperature)
    torch.testing.assert_close(found, wanted)
    for mine, theirs in zip(torch.autograd.grad(found, (hidden, table)), gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_sampled_softmax_nears_the_full_one() -> None:
    torch.manual_seed(2)
    hidden, table, targets = inputs(items=400)
    hidden, table = hidden * 0.5, table * 0.5
    wanted = cross_entropy(hidden @ table.T, targets)
    found = torch.stack([loss.sampled_softmax(hidden, table, targets, 0.0, 200) for _ in range(20)]).mean()
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0)


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(3)
    layer = Dropout(0.25)
    out = layer(torch.ones(100, 1_000))
    assert (out == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert out.mean() == pytest.approx(1, abs=0.01)
    assert (layer.eval()(torch.ones(3)) == 1).all()
