"""Real Snakemake runs of the experiments in tests/configs/tiny.yaml, each in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from once import made_once
from workspace import LOCAL_PROFILE, TINY, Workspace

FIRST = "results/tiny/final.pt", "results/tiny/search/s1/candidates.parquet"
LATER = "results/tiny/comparison.parquet", "results/tiny/report/complete", "results/tiny/report.html"


def make_as_users_do(workspace: Workspace, *targets: str) -> None:
    """With the local profile. What it prints is kept in a file, for test_terminal.py."""
    done = workspace.run("--profile", str(LOCAL_PROFILE), *targets)
    assert done.returncode == 0, done.stderr
    with workspace.printed.open("a") as file:
        file.write(done.stdout + done.stderr)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """`tiny`, run to its end; not to be changed."""

    def make(folder: Path) -> None:
        workspace = Workspace(folder)
        shutil.copy(TINY, workspace.config)
        make_as_users_do(workspace, *FIRST)

    return Workspace(made_once(tmp_path_factory, "finished", make))


@pytest.fixture
def copy(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished run, to be changed."""
    return finished.copied_to(tmp_path)


@pytest.fixture(scope="session")
def compared(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """`tiny` with its comparison and the files of its report; not to be changed."""

    def make(folder: Path) -> None:
        make_as_users_do(finished.copied_to(folder), *LATER)

    return Workspace(made_once(tmp_path_factory, "compared", make))


@pytest.fixture
def changed(compared: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, to be changed."""
    return compared.copied_to(tmp_path)


@pytest.fixture
def fresh(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    shutil.copy(TINY, tmp_path / "tiny.yaml")
    return Workspace(tmp_path)
