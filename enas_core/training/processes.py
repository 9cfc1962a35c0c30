"""One training over several processes, and which of the machine's GPUs it computes on.

Each process has a part of every batch; gradients are averaged by DistributedDataParallel, statistics of batch norm
by `ops.SyncedBatchNorm`. All processes keep the same state, so that a run goes on with another number of them."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from enas_core.console import log

PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Processes:
    """The processes of one training, numbered by `rank`; the first one writes the files."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def part(self, start: int, stop: int) -> tuple[int, int]:
        """This process's part of the positions start..stop-1; may be empty."""
        size = stop - start
        return start + size * self.rank // self.count, start + size * (self.rank + 1) // self.count

    def deal(self, tasks: int) -> Iterator[int | None]:
        """The tasks of this process, one a round and as many rounds in each process: None where it has none."""
        for first in range(0, tasks, self.count):
            task = first + self.rank
            yield task if task < tasks else None

    def sum(self, tensor: Tensor) -> Tensor:
        """`tensor` summed over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def mean(self, tensors: list[Tensor]) -> list[Tensor]:
        """`tensors` averaged over the processes."""
        flat = self.sum(torch.cat([tensor.flatten() for tensor in tensors])) / self.count
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def largest(self, number: int) -> int:
        """The largest `number` of any process. Does not wait for the device."""
        if self.count == 1:
            return number
        value = torch.tensor(number)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)

    def wait(self) -> None:
        """Until all processes are here."""
        self.largest(0)


ALONE = Processes()


@contextmanager
def join(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun has started, connected; without torchrun this one alone."""
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    # torchrun holds the GPUs: when it is killed, this process, told by the system, saves and ends as well.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # Tensors on the CPU, such as signals, go another way than the GPU's queue.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    processes = Processes(dist.get_rank(), dist.get_world_size())
    if not processes.first:
        log.setLevel("CRITICAL")  # what all would say, the first one says
    try:
        yield processes
    except RuntimeError as error:
        if "gloo" in str(error):  # the connection to a process that has ended, and has said why
            sys.exit(1)
        raise
    dist.destroy_process_group()
