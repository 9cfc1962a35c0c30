"""What only one process at a time may do."""

import fcntl
import os
import subprocess
import sys

import pytest

from enas_core.console import UserError
from enas_core.files.atomic import write_text
from enas_core.files.lock import only_writer, take_lock


def test_the_second_writer_is_refused_and_told_who_the_first_one_is(tmp_path):
    output = tmp_path / "out/table.parquet"
    with only_writer(output), only_writer(tmp_path / "out/other.parquet"):
        with pytest.raises(UserError) as refused, only_writer(output, wait=False):
            pytest.fail("two writers")
        assert str(refused.value).startswith(f"{output}: in use by another process (process {os.getpid()} on ")
        with pytest.raises(UserError), only_writer(output, wait=False):
            pytest.fail("two writers, after one has been refused")
    with only_writer(output):
        pass


def test_the_second_writer_waits_and_says_for_whom(tmp_path, monkeypatch, caplog):
    output, lock, waited = tmp_path / "table.parquet", fcntl.flock, []
    first = only_writer(output)

    def ending(file, how):
        if how == fcntl.LOCK_EX:
            waited.append(caplog.messages[-1])
            first.__exit__(None, None, None)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", ending)
    first.__enter__()
    with caplog.at_level("INFO", "enas_core"), only_writer(output):
        assert output.with_name(".lock-table.parquet").read_text().startswith(f"process {os.getpid()} on ")
    assert waited == [
        f"waiting for another process (process {os.getpid()} on {os.uname().nodename}), which makes {output}"
    ]
    assert os.listdir(tmp_path) == []


def test_nothing_is_left(tmp_path):
    (tmp_path / "mine").mkdir()
    with only_writer(tmp_path / "mine/a"), only_writer(tmp_path / "new/a"), only_writer(tmp_path / "filled/a"):
        (tmp_path / "filled/file").touch()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["filled", "filled/file", "mine"]


def test_a_killed_writer_is_in_nobodys_way(tmp_path):
    program = (
        "import os, pathlib, enas_core.files.lock as lock\nwith lock.only_writer(pathlib.Path('out/a')): os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert os.listdir(tmp_path / "out") == [".lock-a"]
    with only_writer(tmp_path / "out/a"):
        pass
    assert os.listdir(tmp_path / "out") == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as refused, only_writer(tmp_path / "file/out/a"):
        pytest.fail("a folder in a file")
    assert refused.value.filename == str(tmp_path / "file")


def test_a_lock_that_its_holder_removes_is_taken_anew(tmp_path, monkeypatch):
    """Between the opening and the locking the holder before ends, and removes the file."""
    path, lock, removed = tmp_path / "lock", fcntl.flock, []

    def removing(file, how):
        if not removed:
            removed.append(path.unlink())
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", removing)
    with take_lock(path, tmp_path):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
        with pytest.raises(UserError):
            take_lock(path, tmp_path)


def test_the_lock_of_an_output_is_no_leftover_of_its_writing(tmp_path):
    with only_writer(tmp_path / "table"):
        write_text(tmp_path / "table", "text")
        with pytest.raises(UserError), only_writer(tmp_path / "table", wait=False):
            pytest.fail("two writers")
