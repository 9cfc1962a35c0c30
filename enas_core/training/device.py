"""What search and augment share: device, optimiser, one training step, evaluation."""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from enas_core.console import UserError
from enas_core.spaces.layers import Classifier
from enas_core.spaces.networks import Network, Supernet
from enas_core.training.gpus import place
from enas_core.training.processes import ALONE, Processes, join

MALLOC_PARAMETERS = {
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 64 * 2**20),
}
"""Numbers from malloc.h and values: no separate mappings, never shrink, grow by 64 MiB."""


def pick_device(name: str, cpu_threads: int) -> torch.device:
    """`auto`, `cpu` or `cuda`, made ready: of several GPUs the one of this process. Raises UserError for a CUDA
    device that is not there."""
    torch.set_num_threads(cpu_threads)
    _keep_freed_memory()
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is there; allowed here: auto, cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # torchrun numbers its processes
    return torch.device("cuda")


@contextmanager
def placed(module: str, options: argparse.Namespace, cpu_threads: int) -> Iterator[tuple[torch.device, Processes]]:
    """The device, and the processes, on which the options `--device` and `--gpus` let stage `module` compute."""
    claims = place(module, options)
    device = pick_device(options.device, cpu_threads)
    with join(device) as processes:
        yield device, processes
    for claim in claims:
        claim.close()


def _keep_freed_memory() -> None:
    """Let glibc reuse the memory of freed tensors instead of returning it to the system, which would hand out each
    page again, zeroed, in the next step. Other C libraries stay as they are."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for parameter, value in MALLOC_PARAMETERS.values():
            libc.mallopt(parameter, value)


def describe_device(device: torch.device, processes: Processes = ALONE) -> str:
    """For provenance, e.g. `cpu (2 threads)` or `4 x cuda (NVIDIA H100)`."""
    times = f"{processes.count} x " if processes.count > 1 else ""
    if device.type == "cuda":
        return f"{times}cuda ({torch.cuda.get_device_name(device)})"
    return f"{times}cpu ({torch.get_num_threads()} threads)"


def lower_precision(network: Network | Supernet, device: torch.device) -> None:
    """Feature maps and convolutions in bfloat16, logits in the precision of the weights."""
    network.forward = torch.autocast(device.type, torch.bfloat16)(network.forward)
    for module in network.modules():
        if isinstance(module, Classifier):
            module.forward = torch.autocast(device.type, enabled=False)(module.forward)
