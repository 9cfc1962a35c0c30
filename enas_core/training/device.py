"""The device that a process computes on, made ready.

`launch.on_devices` uses it for the stages, which may have several GPUs; predict and plan compute on one device."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from pathlib import Path

import torch

from enas_core.console import UserError
from enas_core.training.processes import ALONE, Processes

MALLOC_PARAMETERS = {
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 64 * 2**20),
}
"""Numbers from malloc.h and values: no separate mappings, never shrink, grow by 64 MiB."""


def pick_device(name: str, cpu_threads: int) -> torch.device:
    """The device that the option `--device` names (`auto`, `cpu` or `cuda`), of several GPUs the one of this process.

    Sets the number of threads, and how memory is kept, for the whole process. Raises UserError for a CUDA device that
    is not there."""
    torch.set_num_threads(cpu_threads)
    _keep_freed_memory()
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is there; allowed here: auto, cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # torchrun numbers its processes
    return torch.device("cuda")


def _keep_freed_memory() -> None:
    """Let glibc reuse the memory of freed tensors instead of returning it to the system, which would hand out each
    page again, zeroed, in the next step. Other C libraries stay as they are."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for parameter, value in MALLOC_PARAMETERS.values():
            libc.mallopt(parameter, value)


def describe_device(device: torch.device, processes: Processes = ALONE) -> str:
    """How a table's provenance names the device: `cpu (2 threads)` or `4 x cuda (NVIDIA H100)`."""
    times = f"{processes.count} x " if processes.count > 1 else ""
    if device.type == "cuda":
        return f"{times}cuda ({torch.cuda.get_device_name(device)})"
    return f"{times}cpu ({torch.get_num_threads()} threads)"


def peak_memory(device: torch.device) -> int:
    """Bytes that this process has held at most: allocated on the GPU, or resident. Raises OSError on a system that does
    not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", status)
    return 1024 * int(kilobytes)
