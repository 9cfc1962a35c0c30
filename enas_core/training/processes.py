"""One training over several processes.

Each process has a part of every batch; gradients are averaged by DistributedDataParallel, statistics of batch norm
by `layers.SyncedBatchNorm`. All processes keep the same state, so that a run goes on with another number of them.
`launch.py` starts the processes; `join` connects them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from enas_core.console import log

CONNECTION_LOST = re.compile(
    r"\[\S*/gloo/transport/\S+:\d+\] (Connection closed|Socket closed|Socket unexpectedly closed|Read error|writev) "
)
"""How the errors of gloo's connections begin: with the line of its source that raised them, and what happened. They
reach Python as plain RuntimeErrors; a time-out, of which no process has said the reason, is not among them."""


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
    """The processes that torchrun has started, connected; without torchrun this one alone.

    When another of them ends before its time, this one ends too, quietly, with exit code 1: the other one, or who
    started it, says what went wrong."""
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    # Tensors on the CPU, such as signals, go another way than the GPU's queue.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    processes = Processes(dist.get_rank(), dist.get_world_size())
    if not processes.first:
        # All processes would log the same lines. This process serves one training, so nobody sets the level back.
        log.setLevel("CRITICAL")
    try:
        yield processes
    except RuntimeError as error:
        if is_connection_lost(error):
            sys.exit(1)
        raise
    dist.destroy_process_group()


def is_connection_lost(error: RuntimeError) -> bool:
    """Whether `error` says that the connection to another process broke, which happens when that one ends.

    It may come from any place where processes wait for each other, such as a backward pass through
    DistributedDataParallel, so it is recognised by itself. Of torch's own classes only the one for its store's
    connections means this (the store ends with torchrun); DistBackendError is raised for our mistakes as well."""
    return isinstance(error, dist.DistNetworkError) or CONNECTION_LOST.match(str(error)) is not None
