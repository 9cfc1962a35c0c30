"""Real Snakemake runs of the experiments in tests/configs/tiny.yaml, each in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from workspace import TINY, Workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """`tiny`, run to its end; not to be changed."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"))
    shutil.copy(TINY, workspace.config)
    workspace.make("results/tiny/final.pt", "results/tiny/search/s1/candidates.parquet")
    return workspace


@pytest.fixture
def copy(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished run, to be changed."""
    subprocess.run(["cp", "-a", f"{finished.folder}/.", str(tmp_path)], check=True)
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def compared(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """`tiny` with its comparison and the files of its report; not to be changed."""
    folder = tmp_path_factory.mktemp("compared")
    subprocess.run(["cp", "-a", f"{finished.folder}/.", str(folder)], check=True)
    workspace = Workspace(folder)
    workspace.make(*(f"results/tiny/{name}" for name in ("comparison.parquet", "report/complete", "report.html")))
    return workspace


@pytest.fixture
def changed(compared: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, to be changed."""
    subprocess.run(["cp", "-a", f"{compared.folder}/.", str(tmp_path)], check=True)
    return Workspace(tmp_path)


@pytest.fixture
def fresh(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    shutil.copy(TINY, tmp_path / "tiny.yaml")
    return Workspace(tmp_path)
