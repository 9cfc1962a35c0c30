"""Two workflows in one folder, with and without Snakemake's lock, and disks that are full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from workflows import TIME_LIMIT, Workspace, check_full_disk, check_no_traceback, stop_before, wait_for


@pytest.mark.parametrize("file", ["results", "results/tiny"])
def test_a_file_in_place_of_the_results(file: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    run = workspace.start()
    assert run.end() == 1
    assert f"{file}: not a folder; results are written there" in run.printed
    assert "NotADirectoryError" not in run.printed


def test_a_second_workflow_is_refused_by_snakemake(whole: Workspace, tmp_path: Path) -> None:
    first = whole.copied_to(tmp_path)
    first.results.joinpath("final.pt").unlink()
    run = first.start(**stop_before("final", "final.pt"))
    wait_for(lambda: run.has_ended() or first.stopped("final") is not None)
    beside = first.start()
    assert beside.end() == 1
    assert "LockException" in beside.printed
    os.kill(first.stopped("final"), signal.SIGCONT)
    assert run.end() == 0, run.printed
    first.assert_same_results(whole)


def test_two_workflows_without_lock(whole: Workspace, tmp_path: Path) -> None:
    """Whatever becomes of the two, what they leave is right, or is made again."""
    first = Workspace(tmp_path)
    runs = [first.start("--nolock", cores=2) for _ in range(2)]
    for run in runs:
        run.end()
        check_no_traceback(run.printed)
    first.wait_until_nothing_runs()
    first.again(cores=2)
    first.assert_same_results(whole)
    first.assert_nothing_to_do()


IN_ITS_OWN_MOUNTS = ["unshare", "--map-root-user", "--mount"]


def test_full_disk(whole: Workspace, tmp_path: Path) -> None:
    """As root, or where users may have mounts of their own; `test_files_that_cannot_grow` needs neither."""
    if subprocess.run([*IN_ITS_OWN_MOUNTS, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this system lets users mount nothing")
    folder = tmp_path / "disk"
    folder.mkdir()
    program = Path(__file__).with_name("full_disk.py")
    command = [*IN_ITS_OWN_MOUNTS, sys.executable, str(program), str(folder), str(whole.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3


def test_files_that_cannot_grow(whole: Workspace, tmp_path: Path) -> None:
    """A limit to the size of any file, of Snakemake's too, below what some of them need."""
    workspace = Workspace(tmp_path)
    for max_bytes in (500, 5_000, 50_000):
        run = workspace.start(cores=2, max_bytes=max_bytes, to_terminal=True)
        printed = run.process.communicate(timeout=TIME_LIMIT)[0].decode()
        assert run.end() != 0
        check_full_disk(printed)
        workspace.unlock()
    workspace.again(cores=2)
    workspace.assert_same_results(whole)
    workspace.assert_nothing_to_do()
