"""One training over several processes, and which of the machine's GPUs it computes on.

Each process has a part of every batch; gradients are averaged by DistributedDataParallel, statistics of batch norm
by `ops.SyncedBatchNorm`. All processes keep the same state, so that a run goes on with another number of them."""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import socket
import sys
import time
from pathlib import Path

from enas_core.console import RunError, UserError, log

WAIT_SECONDS = 1.0  # between two looks for a free GPU


def place(module: str, options: argparse.Namespace) -> list[socket.socket]:
    """Let the stage compute on `--gpus` of the machine's GPUs; what is returned keeps them from other stages as long
    as this process lives. For several GPUs (or several processes on a machine without any) this function does not
    return: the same command runs under torchrun, whose exit code becomes this one's. Raises UserError when there are
    fewer GPUs, RunError when one of the processes was killed."""
    import torch.distributed as dist

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
        raise UserError(f"--gpus: {count} GPUs are asked for, {len(gpus)} can be used here: {', '.join(gpus)}")
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
