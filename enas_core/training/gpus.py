"""Which of this machine's GPUs a stage computes on, and how it keeps other stages away from them.

Used by `launch.py`, before torch is imported: CUDA reads CUDA_VISIBLE_DEVICES once, so the choice comes first.

A stage claims its GPUs, and waits while others have them. What is claimed is a GPU's UUID, since one GPU has many
names: `0` here may be `1` or `GPU-8932f937...` there. MIG devices have UUIDs, and so are GPUs of their own. A claim is
a socket that is bound to a name in Linux's abstract namespace: only one process can have it, no file is left behind,
and the system takes it back when the process ends, however it ends."""

from __future__ import annotations

import errno
import itertools
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from enas_core.console import RunError, UserError, log

WAIT_SECONDS = 1.0  # between two looks for a free GPU

SCHEDULERS = {
    "Slurm": "SLURM_JOB_ID",
    "PBS": "PBS_JOBID",
    "LSF": "LSB_JOBID",
    "Grid Engine": "SGE_TASK_ID",
    "HTCondor": "_CONDOR_SLOT",
    "Flux": "FLUX_JOB_ID",
}
"""The variable by which a process knows that it runs in a job of a scheduler. There are other variables that list a
job's GPUs, but a scheduler that confines the job to them (by cgroups, say) need not set any."""

COMPLETE = re.compile(r"(?:GPU|MIG)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)
"""A name that says by itself which GPU it means. CUDA also takes numbers and the first characters of a UUID."""

CLAIMS = "ENAS_CLAIMS"  # variable by which torchrun's processes learn which claims they share


@dataclass(frozen=True)
class Claim:
    """The right to compute on `gpu`, a name as in CUDA_VISIBLE_DEVICES; other stages see it as taken until `release`,
    or until this process ends."""

    gpu: str
    name: str
    _socket: socket.socket

    def release(self) -> None:
        """Let other stages have it."""
        self._socket.close()


def claim_gpus(count: int, slots: int = 1) -> tuple[list[str], list[Claim]]:
    """`count` of the GPUs that this process may use, and the claims on them; waits until so many are free. There are
    none on a machine without GPUs. Raises UserError where there are too few.

    Where a scheduler has given this job exactly as many, they are its own (or, if it divides GPUs into parts, meant
    to be shared) and need no claim. With more than one of the `slots` that a GPU has, as many stages share it."""
    gpus = visible_gpus()
    if not gpus:
        return [], []
    if len(gpus) < count:
        raise UserError(f"--gpus: {count} GPUs are asked for, {len(gpus)} can be used here: {', '.join(gpus)}")
    if len(gpus) == count and any(variable in os.environ for variable in SCHEDULERS.values()):
        return list(gpus), []

    claims = claim_if_free(gpus, count, slots)
    if claims is None:
        log.info("waiting for %d of the GPUs %s", count, ", ".join(gpus))
    while claims is None:
        time.sleep(WAIT_SECONDS)
        claims = claim_if_free(gpus, count, slots)
    names = [claim.gpu for claim in claims]
    log.info("on GPU %s", ", ".join(names))
    return names, claims


def visible_gpus() -> dict[str, str]:
    """The GPUs that this process may use: from their names, as in CUDA_VISIBLE_DEVICES, to their UUIDs.

    Where CUDA does not answer, each name stands for itself: those may be GPUs of AMD, for which torch reads this
    variable too. They are known only if they are listed."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names: list[str] = []
    if listed is not None:
        names = list(itertools.takewhile(lambda name: name not in ("", "-1", "NoDevFiles"), listed.split(",")))
        if not names:
            return {}
    complete = [COMPLETE.fullmatch(name.strip()) for name in names]
    if names and all(complete):
        # Not asked of CUDA, which shows a process only one of several MIG devices.
        return {name: match[1].lower() for name, match in zip(names, complete, strict=True) if match}

    uuids = _ask_cuda()
    if uuids is None:
        return {name: name for name in names}
    if listed is None:
        names = [str(number) for number in range(len(uuids))]
    # CUDA keeps the order of the list, and ends it before the first name that it does not know.
    return dict(zip(names, uuids, strict=False))


def _ask_cuda() -> list[str] | None:
    """UUIDs of the GPUs that CUDA offers to a process with this environment; None where it does not answer."""
    program = Path(__file__).with_name("cuda_devices.py")
    answer = subprocess.run([sys.executable, "-I", program], capture_output=True, text=True, check=False)
    return answer.stdout.split() if answer.returncode == 0 else None


def claim_if_free(gpus: Mapping[str, str], count: int, slots: int) -> list[Claim] | None:
    """Claims on `count` of `gpus`; None, and no claim at all, if fewer are free: two stages that each kept some while
    they wait could wait for each other's."""
    claims: dict[str, Claim] = {}
    for slot, (gpu, uuid) in itertools.product(range(slots), gpus.items()):
        if gpu in claims:
            continue  # a stage's processes are on different GPUs
        claim = _claim(gpu, f"enas-gpu-{uuid}-{slot}")
        if claim is not None:
            claims[gpu] = claim
        if len(claims) == count:
            return list(claims.values())
    for claim in claims.values():
        claim.release()
    return None


def _claim(gpu: str, name: str) -> Claim | None:
    """The claim `name` on `gpu`; None while another stage has it, or a process that has outlived its torchrun."""
    held = _bind(name)
    if held is None:
        return None
    worker = _bind(_worker(name))
    if worker is None:
        held.close()
        return None
    worker.close()
    return Claim(gpu, name, held)


def _worker(name: str) -> str:
    """The name under which a process of torchrun's shares the claim `name`."""
    return f"{name}-worker"


def _bind(name: str) -> socket.socket | None:
    """A socket that has this name alone on the machine; None while another one has it."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        bound.bind(f"\0{name}")
    except OSError as error:
        bound.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return bound


# --- the processes that torchrun starts


def share_claims(claims: list[Claim]) -> None:
    """Let the processes that torchrun is about to start share `claims`, one each. torchrun closes what they would
    inherit, so they learn the claims' names from their environment."""
    os.environ[CLAIMS] = ",".join(f"{claim.gpu}={claim.name}" for claim in claims)


def shared_claims(local_rank: int) -> list[Claim]:
    """In a process that torchrun has started: its share of the claims, which keeps its GPU taken when torchrun is
    killed. None where `claim_gpus` made none, or where the user has called torchrun."""
    shared = os.environ.get(CLAIMS)
    if not shared:
        return []
    gpu, _, name = shared.split(",")[local_rank].partition("=")
    held = _bind(_worker(name))
    if held is None:
        raise RunError(f"another stage has taken GPU {gpu}")
    return [Claim(gpu, name, held)]
