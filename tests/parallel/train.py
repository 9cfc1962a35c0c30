"""Trainings in double precision, by torchrun or alone: `train.py INPUTS OUT [--stop-after EPOCHS] [--per-process]
[--streamed]`.

Goes on from the states in OUT/state. Each process writes rows and weights to OUT/{stage}-{rank}.pt."""

import argparse
import contextlib
import math
from pathlib import Path

import torch

from enas_core.data.prepared import load_prepared
from enas_core.settings.stages import AugmentStage, SearchStage, read_stage
from enas_core.training.checkpoint import Saver, StateDirectory
from enas_core.training.network import NetworkTraining
from enas_core.training.processes import join
from enas_core.training.supernet import SupernetTraining

CPU = torch.device("cpu")


def runs(inputs, processes, per_process, streamed):
    """The two trainings."""
    data = load_prepared(inputs / "data", CPU, "never" if streamed else "always")
    search = read_stage(inputs / "config/search.json", SearchStage)
    augment = read_stage(inputs / "config/augment.json", AugmentStage)
    if per_process:
        search = search.model_copy(update={"search": search.search.model_copy(update={"sync_batch_norm": False})})
        augment = augment.model_copy(update={"augment": augment.augment.model_copy(update={"sync_batch_norm": False})})
    arc = augment.search_space.read(inputs / "arc.txt")
    yield "search", SupernetTraining(search, data, 1, CPU, processes=processes)
    yield "augment", NetworkTraining(augment, data, arc, "a", 1, CPU, processes=processes)


class EnoughError(Exception):
    """Enough epochs for this time."""


class StoppingSaver(Saver):
    """Stops at the save behind so many epochs."""

    def save(self):
        super().save()
        if self.run.at.epoch == self.stop_after:
            raise EnoughError


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("inputs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stop-after", type=int)
    parser.add_argument("--per-process", action="store_true")
    parser.add_argument("--streamed", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    with join(CPU) as processes:
        for name, run in runs(options.inputs, processes, options.per_process, options.streamed):
            with StateDirectory(options.out / "state" / name, "same", processes) as states:
                found = states.load()
                with StoppingSaver(states, math.inf, run.state_dict) as saver:
                    saver.run, saver.stop_after = run, options.stop_after
                    if found is not None:
                        run.load_state_dict(found[0])
                    with contextlib.suppress(EnoughError):
                        run.train(saver)
            result = {"rows": run.epochs.rows, "state": run.descent.network.state_dict()}
            torch.save(result, options.out / f"{name}-{processes.rank}.pt")


if __name__ == "__main__":
    main()
