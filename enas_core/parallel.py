"""One training over several processes, and which of the machine's GPUs it computes on.

Each process has a part of every batch; gradients are averaged by DistributedDataParallel, statistics of batch norm
by `ops.SyncedBatchNorm`. All processes keep the same state, so that a run goes on with another number of them."""

from __future__ import annotations

import argparse
import ctypes
import itertools
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from enas_core.cli import RunError, log

WAIT_SECONDS = 1.0  # between two looks for a free GPU
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


def place(module: str, options: argparse.Namespace) -> list[socket.socket]:
    """Let the stage compute on `--gpus` of the machine's GPUs; what is returned keeps them from other stages as long
    as this process lives. For several GPUs (or several processes on a machine without any) this function does not
    return: the same command runs under torchrun, whose exit code becomes this one's. Raises ValueError when there are
    fewer GPUs, RunError when one of the processes was killed."""
    if dist.is_torchelastic_launched():
        return []
    gpus, claims = ([], []) if options.device == "cpu" or options.gpus == 0 else claim_gpus(options.gpus)
    if gpus or options.gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if options.gpus > 1:
        sys.exit(
            _run_with_torchrun([f"--nproc-per-node={options.gpus}", "-m", f"enas_core.{module}", *options.arguments])
        )
    return claims


def _run_with_torchrun(arguments: list[str]) -> int:
    """Exit code of a training in several processes, each of which says itself what went wrong."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # `cpu_threads` decides; without it torchrun warns
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
    try:
        run.run(run.parse_args(["--standalone", *arguments]))
    except SignalException as caught:
        return 128 + caught.sigval
    except ChildFailedError as error:
        code = max(failure.exitcode for failure in error.failures.values())
        killed = next((failure for failure in error.failures.values() if failure.exitcode < 0), None)
        if killed is not None and code <= 1:
            raise RunError(f"a process of the training was ended by {killed.signal_name()}") from None
        return code
    return 0


def visible_gpus() -> list[str]:
    """Names, as in CUDA_VISIBLE_DEVICES, of the GPUs that this process may use."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(k) for k, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    return list(itertools.takewhile(lambda name: name not in ("", "-1", "NoDevFiles"), listed.split(",")))


def claim_gpus(count: int) -> tuple[list[str], list[socket.socket]]:
    """`count` of the visible GPUs that no other stage on this machine uses, and what holds them; waits for them.

    Where no more than `count` are visible, a scheduler or the user has assigned them: they are taken as they are.
    A claim is a socket in the abstract namespace, which the system releases when its process dies, however."""
    gpus = visible_gpus()
    if 0 < len(gpus) < count:
        raise ValueError(f"--gpus: {count} GPUs are asked for, {len(gpus)} can be used here: {', '.join(gpus)}")
    if len(gpus) <= count:
        return gpus, []
    held: dict[str, socket.socket] = {}
    waiting = False
    gate = None
    while gate is None or len(held) < count:
        # Only one process at a time collects GPUs, so that no two wait for each other's.
        gate = gate or _claim("gate")
        for gpu in gpus if gate is not None else ():
            claim = _claim(gpu) if gpu not in held and len(held) < count else None
            if claim is not None:
                held[gpu] = claim
        if len(held) < count:
            if not waiting:
                log.info("waiting for %d of the GPUs %s", count, ", ".join(gpus))
                waiting = True
            time.sleep(WAIT_SECONDS)
    gate.close()
    log.info("on GPU %s", ", ".join(held))
    return list(held), list(held.values())


def _claim(name: str) -> socket.socket | None:
    """The machine-wide claim on `name`; None while another process has it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0enas-gpu-{name}")
    except OSError:
        claim.close()
        return None
    return claim
