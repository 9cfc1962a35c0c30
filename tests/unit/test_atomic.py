"""Files that are written whole or not at all."""

import fcntl
import os
import subprocess
import sys

import pytest

from enas_core.files.atomic import atomic_path, discard_partial, require_writable, write_bytes, write_text


def test_a_file_appears_whole_with_its_folder(tmp_path):
    path = tmp_path / "new/folder/file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("text")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "text"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
@pytest.mark.parametrize("before", [None, "old"])
def test_an_error_leaves_nothing_behind(error, before, tmp_path):
    path = tmp_path / "file.txt"
    if before is not None:
        path.write_text(before)

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert [file.read_text() for file in tmp_path.iterdir()] == [before] * (before is not None)


def test_an_error_of_the_disk_names_the_file(tmp_path):
    path = tmp_path / "file.txt"

    def full():
        with atomic_path(path):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as caught:
        full()
    assert caught.value.filename == str(path)


def test_mode_of_a_file_is_an_ordinary_files(tmp_path):
    write_text(tmp_path / "written", "text")
    (tmp_path / "ordinary").write_text("text")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    for name in ("file.txt", ".file.txt.x1", ".file.txt.x2", ".other.txt.x", "other.txt"):
        (tmp_path / name).touch()
    discard_partial(tmp_path / "file.txt")
    assert sorted(os.listdir(tmp_path)) == [".other.txt.x", "file.txt", "other.txt"]


def test_writing_removes_what_a_killed_process_has_left(tmp_path):
    program = (
        "import os, sys, pathlib, enas_core.files.atomic as a\nwith a.atomic_path(pathlib.Path('[1].txt')): os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert len(os.listdir(tmp_path)) == 1
    write_text(tmp_path / "[1].txt", "text")
    assert os.listdir(tmp_path) == ["[1].txt"]


def test_two_writers_of_one_file_leave_each_other_alone(tmp_path):
    path = tmp_path / "file.txt"
    with atomic_path(path) as first:
        first.write_text("first")
        with atomic_path(path) as second:
            second.write_text("second")
            discard_partial(path)
            assert first.exists()
            assert second.exists()
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_file_that_is_discarded_as_soon_as_it_is_made_is_made_again(tmp_path, monkeypatch):
    """By another process, which takes it for one that was left."""
    path, lock, discarded = tmp_path / "file.txt", fcntl.flock, []

    def discarding(file, how):
        if not discarded:
            discarded.extend(tmp_path.iterdir())
            discarded[0].unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", discarding)
    write_text(path, "text")
    assert path.read_text() == "text"
    assert len(discarded) == 1


def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / "file.txt").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_text(tmp_path / "file.txt", "text")
    assert os.listdir(tmp_path) == ["file.txt"]


def test_bytes(tmp_path):
    write_bytes(tmp_path / "b", memoryview(b"\x00\xff"))
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"


def test_require_writable_names_what_is_in_the_way(tmp_path):
    require_writable(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as caught:
        require_writable(tmp_path / "file" / "folder")
    assert caught.value.filename == str(tmp_path / "file")
