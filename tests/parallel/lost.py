"""A training one of whose processes ends, by torchrun: `lost.py CASE OUT`.

CASE says how the last process ends, and what the others do meanwhile. Each of these writes to OUT/{rank} how it ends
itself."""

import os
import signal
import sys
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from enas_core.training.processes import join

CPU = torch.device("cpu")
MESSAGE = "a mistake of ours in the use of gloo"


def work(case, processes):
    """Wait for each other, in a sum or in a backward pass, again and again."""
    parallel = DistributedDataParallel(torch.nn.Linear(10, 10)) if "backward" in case else None
    for step in range(1000):
        if step == 3 and processes.rank == processes.count - 1:
            if "killed" in case:
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError(MESSAGE)
        if parallel is None:
            processes.sum(torch.ones(10))
        else:
            parallel(torch.ones(2, 10)).sum().backward()


def main():
    case, out = sys.argv[1], Path(sys.argv[2])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as in a training, which saves first
    torch.set_num_threads(1)
    rank = os.environ["RANK"]
    try:
        with join(CPU) as processes:
            work(case, processes)
    except BaseException as error:
        (out / rank).write_text(f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
