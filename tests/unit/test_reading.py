"""Files that may be anything: a pipe is not waited for, and what is too long is not read."""

import os
from pathlib import Path

import pytest

from enas_core.console import UserError
from enas_core.files.reading import read_bytes, read_text, require_regular


def test_a_regular_file_is_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert read_bytes(path) == read_bytes(path, 3) == b"abc"
    assert read_text(path) == "abc"
    require_regular(path, 3)
    with pytest.raises(UserError, match=rf"^{path}: has 3 bytes; at most 2 are read$"):
        read_bytes(path, 2)
    with pytest.raises(UserError, match="at most 2 are read"):
        require_regular(path, 2)


@pytest.mark.parametrize("read", [read_bytes, read_text, require_regular])
def test_other_kinds_are_refused(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UserError, match=rf"^{path}: not a regular file$"):
            read(path)
    with pytest.raises(IsADirectoryError) as folder:
        read(tmp_path)
    assert folder.value.filename == str(tmp_path)
    with pytest.raises(FileNotFoundError) as missing:
        read(tmp_path / "missing")
    assert missing.value.filename in (str(tmp_path / "missing"), tmp_path / "missing")
