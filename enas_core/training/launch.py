"""Where a stage computes: the one call between a command's options and its work.

Used by search, augment and select_arc. GPUs are claimed before torch is imported, which is why it is imported in
functions here. A stage on several GPUs starts itself again, once for each GPU, under torchrun."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from enas_core.console import RunError
from enas_core.training.gpus import Claim, claim_gpus, share_claims, shared_claims

if TYPE_CHECKING:
    import torch

    from enas_core.training.processes import Processes

PR_SET_PDEATHSIG = 1  # prctl(2)
LAUNCHER = "ENAS_LAUNCHER"  # variable by which the processes know the process id of the stage that runs torchrun


@contextmanager
def on_devices(
    module: str, arguments: Sequence[str], device: str, gpus: int, cpu_threads: int
) -> Iterator[tuple[torch.device, Processes]]:
    """The device on which the body computes, and the processes that compute together with this one.

    `device` and `gpus` are the options of those names; `gpus=0` is the CPU. With several GPUs (or several processes
    on a machine without any) the body does not run in this process: the stage `module` runs with its command line's
    `arguments` in processes of torchrun's, where this function is called again, and their exit code becomes this
    one's. Raises UserError where there are fewer GPUs, RunError where one of the processes was killed."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        claims = _join_torchrun()
    else:
        claims = _choose_gpus(device, gpus)
        if gpus > 1:
            sys.exit(_run_with_torchrun(module, arguments, gpus, claims))

    from enas_core.training.device import pick_device
    from enas_core.training.processes import join

    try:
        chosen = pick_device(device, cpu_threads)
        with join(chosen) as processes:
            yield chosen, processes
    finally:
        for claim in claims:
            claim.release()


def _choose_gpus(device: str, gpus: int) -> list[Claim]:
    """Show this process, and those that it starts, only the GPUs that it shall use."""
    chosen: list[str] = []
    claims: list[Claim] = []
    if device != "cpu" and gpus > 0:
        chosen, claims = claim_gpus(gpus)
    if chosen or gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
    return claims


def _run_with_torchrun(module: str, arguments: Sequence[str], gpus: int, claims: list[Claim]) -> int:
    """Exit code of the stage in several processes, each of which says itself what went wrong."""
    share_claims(claims)
    os.environ[LAUNCHER] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # `cpu_threads` decides; without it torchrun warns
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
    command = ["--standalone", f"--nproc-per-node={gpus}", "-m", f"enas_core.{module}", *arguments]
    try:
        run.run(run.parse_args(command))
    except SignalException as caught:
        return 128 + caught.sigval
    except ChildFailedError as error:
        code = max(failure.exitcode for failure in error.failures.values())
        killed = next((failure for failure in error.failures.values() if failure.exitcode < 0), None)
        if killed is not None and code <= 1:
            raise RunError(f"a process of the training was ended by {killed.signal_name()}") from None
        return code
    return 0


def _join_torchrun() -> list[Claim]:
    """Tie this process to torchrun, which has started it: when torchrun is killed, the system sends this process
    SIGTERM, so that it saves and ends. Until it has ended, its share of the claims keeps its GPU from others."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    launcher = os.environ.get(LAUNCHER)
    if launcher is not None and os.getppid() != int(launcher):
        sys.exit(128 + signal.SIGTERM)  # torchrun was killed before the system knew whom to tell
    return shared_claims(int(os.environ["LOCAL_RANK"]))
