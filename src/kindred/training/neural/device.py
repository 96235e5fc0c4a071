"""Which device neural training runs on, and in which precision."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Device:
    """A torch device with the precision of its matrix products: bfloat16 or float32."""

    device: torch.device
    bf16: bool

    @property
    def name(self) -> str:
        """Say the device, the precision and, on a CPU, the threads."""
        kind = "bf16" if self.bf16 else "float32"
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)} {kind}"
        threads = torch.get_num_threads()
        return f"cpu {kind}, {threads} thread{'s' if threads > 1 else ''}"

    def autocast(self) -> torch.autocast:
        """Return the context in which matrix products take the device's precision."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)


def pick_device(threads: int = 0) -> Device:
    """Choose CUDA where a GPU is present, else the CPU with `threads` threads (0: as many as torch finds).

    bfloat16 where the hardware multiplies it; elsewhere the conversions cost more than they save.
    """
    if torch.cuda.is_available():
        return Device(torch.device("cuda"), torch.cuda.is_bf16_supported(including_emulation=False))
    if threads:
        torch.set_num_threads(threads)
    capable = torch.cpu.get_capabilities()
    return Device(torch.device("cpu"), bool(capable.get("amx_bf16") or capable.get("avx512_bf16")))
