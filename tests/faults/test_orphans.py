"""Stages that outlive their Snakemake, each stopped at the worst moment: all is computed and nothing written yet."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from workflows import REFUSED, Workspace, stop_before, wait_for


@dataclass(frozen=True)
class Stage:
    """One job of the workflow: the module that does it, what it writes, the first one last, and where its state is."""

    module: str
    outputs: tuple[str, ...]
    state: str | None = None
    beside: str = "waits"
    """What a second process does until the first one has ended: it waits, or is refused. Or it is free to go on, where
    both write the same at once."""


DATA = tuple(f"data/{part}_{what}.npy" for part in ("train", "test") for what in ("images", "labels"))
FOUND = ("search/s1/signal.parquet", "arcs/searched-s1.txt", "search/s1/own/candidates.parquet")
NETWORK = "networks/random-00/seed1"
STAGES = {
    "prepare_data": Stage("prepare_data", ("data/manifest.json", *DATA)),
    "random_arcs": Stage("random_arcs", ("random_arcs.parquet",), beside="free"),
    "search": Stage("search", ("search/s1/epochs.parquet", "search/s1/supernet.pt"), "search/s1", "refused"),
    "select_arc": Stage("select_arc", FOUND),
    "score_arcs": Stage("select_arc", ("search/s1/candidates.parquet",)),
    "augment": Stage(
        "augment", (f"{NETWORK}/epochs.parquet", f"{NETWORK}/model.pt"), "augment/random-00/seed1", "refused"
    ),
    "final": Stage("final", ("final.pt",)),
    "compare": Stage("compare", ("comparison.parquet", "comparison.csv", "metrics.parquet")),
}


@pytest.mark.parametrize("name", STAGES)
def test_rerun_beside_an_orphan(name: str, whole: Workspace, tmp_path: Path) -> None:
    stage = STAGES[name]
    workspace = whole.copied_to(tmp_path, f"results/tiny/{stage.outputs[0]}")
    for output in stage.outputs:
        (workspace.results / output).unlink()
    if stage.state is not None:
        shutil.rmtree(workspace.results / "_state" / stage.state)

    run = workspace.start(**stop_before(stage.module, Path(stage.outputs[-1]).name))
    wait_for(lambda: run.has_ended() or workspace.stopped(stage.module) is not None)
    orphan = workspace.stopped(stage.module)
    assert orphan is not None, run.printed
    run.send(signal.SIGKILL, alone=True)
    run.end()
    workspace.unlock()

    beside = workspace.start()
    if stage.beside == "refused":
        assert beside.end() == 1
        assert f"{REFUSED} (process {orphan} on " in beside.printed
    elif stage.beside == "waits":
        waiting = f"waiting for another process (process {orphan} on "
        wait_for(lambda: beside.has_ended() or waiting in beside.printed)
        assert not beside.has_ended(), beside.printed
    else:
        assert beside.end() == 0, beside.printed
    os.kill(orphan, signal.SIGCONT)
    beside.end()
    workspace.wait_until_nothing_runs()
    workspace.again()
    workspace.assert_same_results(whole)
    workspace.assert_nothing_to_do()
