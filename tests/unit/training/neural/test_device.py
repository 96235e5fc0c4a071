"""Training runs where it is fastest, and says where that is."""

import pytest

torch = pytest.importorskip("torch")

from kindred.training.neural.device import Device, pick_device  # noqa: E402


def test_the_device_says_what_it_is() -> None:
    assert Device(torch.device("cpu"), bf16=True).name.startswith("cpu bf16, ")
    assert Device(torch.device("cpu"), bf16=False).name.startswith("cpu float32, ")


def test_products_take_the_devices_precision() -> None:
    square = torch.ones(4, 4)
    with Device(torch.device("cpu"), bf16=True).autocast():
        assert (square @ square).dtype == torch.bfloat16
    with Device(torch.device("cpu"), bf16=False).autocast():
        assert (square @ square).dtype == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is chosen where there is one")
def test_the_cpu_is_chosen_without_a_gpu_and_with_the_asked_threads() -> None:
    before = torch.get_num_threads()
    try:
        assert pick_device(1).name.endswith("1 thread")
    finally:
        torch.set_num_threads(before)
