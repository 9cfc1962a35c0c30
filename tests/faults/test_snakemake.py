"""Runs of Snakemake whose worker, or which themselves, are killed: the same command again ends with the same tables."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import workflows
import yaml
from trials import assert_same, comparable
from workflows import ROOT, Run, wait_for


@dataclass(frozen=True)
class Job:
    """One training of the workflow: its folders in results/tiny, its log, its outputs."""

    stage: str
    folder: str
    state: str
    log: str
    weights: str


AUGMENT = Job(
    "augment", "networks/random-00/seed1", "_state/augment/random-00/seed1", "augment-random-00-seed1", "model.pt"
)
SEARCH = Job("search", "search/s1", "_state/search/s1", "search-s1", "supernet.pt")


class Workspace(workflows.Workspace):
    """A working folder, and the command that makes the outputs of `job` in it."""

    def __init__(self, folder: Path, job: Job) -> None:
        super().__init__(folder, [f"results/tiny/{job.folder}/{job.weights}"], ROOT / "tests/configs/faults.yaml")
        self.job = job
        self.out, self.state = self.results / job.folder, self.results / job.state
        self.log = self.results / f"logs/{job.log}.log"

    def start(self, *options: str, save_every: float = 0.0001, **how: Any) -> Run:
        """The command, which saves the state after every step."""
        return super().start(*options, save_every=save_every, **how)

    def worker(self) -> int:
        """Pid of the stage, from its lock file."""
        return int((self.state / "lock").read_text().split()[1])

    def wait_for_training(self) -> None:
        """Until the stage has saved its state in training."""
        wait_for(self.state.joinpath("previous.state").exists, every=0.01)

    def log_of_another(self) -> str:
        """The same command to its successful end; the log, which Snakemake begins afresh for every try."""
        self.again()
        return self.log.read_text() if self.log.exists() else ""

    def assert_same_as(self, other: Workspace) -> None:
        """The outputs are."""
        assert_same(comparable(self.out / "epochs.parquet"), comparable(other.out / "epochs.parquet"))
        found, expected = (torch.load(w.out / self.job.weights, weights_only=True) for w in (self, other))
        assert_same(found, expected)


@pytest.fixture(scope="module", params=[AUGMENT, SEARCH], ids=lambda job: job.stage)
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Made in one go."""
    workspace = Workspace(tmp_path_factory.mktemp(request.param.stage), request.param)
    workspace.again()
    return workspace


@pytest.fixture
def workspace(undisturbed: Workspace, tmp_path: Path) -> Workspace:
    """A copy of `undisturbed` as it was before the training."""
    subprocess.run(["cp", "-a", f"{undisturbed.folder}/.", str(tmp_path)], check=True)
    copy = Workspace(tmp_path, undisturbed.job)
    for folder in (copy.out, copy.state):
        shutil.rmtree(folder)
    copy.log.unlink()
    return copy


only_augment = pytest.mark.parametrize("undisturbed", [AUGMENT], ids=["augment"], indirect=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_worker(undisturbed: Workspace, workspace: Workspace, number: int) -> None:
    run = workspace.start()
    workspace.wait_for_training()
    os.kill(workspace.worker(), number)
    assert run.end() != 0
    assert not (workspace.out / "epochs.parquet").exists()
    if number == signal.SIGTERM:
        assert "SIGTERM: state saved in" in run.printed
    assert re.search(r"goes on at epoch \d", workspace.log_of_another())
    workspace.assert_same_as(undisturbed)


@only_augment
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["SIGKILL", "SIGTERM", "SIGINT"]
)
def test_snakemake_and_worker(undisturbed: Workspace, workspace: Workspace, number: int) -> None:
    """SIGINT as a terminal sends it: to the whole group, the shell in between included."""
    run = workspace.start()
    workspace.wait_for_training()
    worker = workspace.worker()
    if number == signal.SIGINT:
        run.send(number)
    else:
        run.send(number, alone=True)
        os.kill(worker, number)
    assert run.end() != 0
    workspace.wait_until_nothing_runs()
    assert re.search(r"goes on at epoch \d", workspace.log_of_another())
    workspace.assert_same_as(undisturbed)


@only_augment
def test_snakemake_ends_in_order(undisturbed: Workspace, workspace: Workspace) -> None:
    """After a SIGTERM it waits for its job, so that there may be nothing left to do."""
    run = workspace.start()
    workspace.wait_for_training()
    run.send(signal.SIGTERM, alone=True)
    run.end()
    workspace.again()
    workspace.assert_same_as(undisturbed)
    assert workspace.log.read_text().count("  epoch 1/") == 1


@pytest.fixture
def orphan(workspace: Workspace) -> int:
    """Pid of a stage, stopped, that outlives its Snakemake and the terminal that it wrote to."""
    run = workspace.start(to_terminal=True)
    workspace.wait_for_training()
    worker = workspace.worker()
    os.kill(worker, signal.SIGSTOP)
    run.send(signal.SIGKILL, alone=True)
    run.end()
    run.close_terminal()
    workspace.unlock()
    return worker


def let_it_end(workspace: Workspace, orphan: int) -> None:
    """Go on, to the end."""
    os.kill(orphan, signal.SIGCONT)
    workspace.wait_until_nothing_runs()
    assert (workspace.out / "epochs.parquet").exists()


@only_augment
def test_work_of_an_orphan_is_taken_over(undisturbed: Workspace, workspace: Workspace, orphan: int) -> None:
    """Snakemake deletes what it did not see finished; the stage emits it again."""
    let_it_end(workspace, orphan)
    log = workspace.log_of_another()
    assert "current.state: used, of a run that had finished" in log
    assert "  epoch " not in log
    workspace.assert_same_as(undisturbed)


@only_augment
def test_nothing_runs_beside_an_orphan(undisturbed: Workspace, workspace: Workspace, orphan: int) -> None:
    beside = workspace.start()
    assert beside.end() != 0
    assert re.search(
        rf"error: .*{workspace.job.folder}/epochs.parquet: in use by another process \(process {orphan} on ",
        beside.printed,
    )
    let_it_end(workspace, orphan)
    assert "  epoch " not in workspace.log_of_another()
    workspace.assert_same_as(undisturbed)


@only_augment
def test_an_orphan_of_other_settings_leaves_no_outputs(workspace: Workspace, orphan: int) -> None:
    """Or Snakemake would take them, newer than the changed settings, for what these ask for."""
    settings = yaml.safe_load(workspace.config.read_text())
    settings["experiments"]["tiny"]["augment"]["num_epochs"] = 1
    workspace.config = workspace.folder / "changed.yaml"
    workspace.config.write_text(yaml.safe_dump(settings))
    beside = workspace.start()
    assert beside.end() != 0
    assert "in use by another process" in beside.printed
    os.kill(orphan, signal.SIGCONT)
    workspace.wait_until_nothing_runs()
    assert not any(workspace.out.glob("*"))
    assert "saved under other settings" in workspace.log_of_another()
    assert len(comparable(workspace.out / "epochs.parquet")["epoch"]) == 1


@only_augment
def test_retries(undisturbed: Workspace, workspace: Workspace) -> None:
    run = workspace.start("--retries", "1")
    workspace.wait_for_training()
    os.kill(workspace.worker(), signal.SIGKILL)
    assert run.end() == 0, run.printed
    assert re.search(r"goes on at epoch \d", workspace.log.read_text())
    workspace.assert_same_as(undisturbed)
