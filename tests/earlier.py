"""What earlier versions have left behind, for the tests that go on with it (tests/upgrade/write.py has packed it)."""

from __future__ import annotations

import os
import tarfile
import time
from pathlib import Path

ARCHIVES = sorted(Path(__file__).with_name("upgrade").glob("*.tar.xz"))
"""One a version."""


def unpack(archive: Path, folder: Path) -> None:
    """The files of an archive, as if its version had ended a minute ago: Snakemake compares the times of files, and so
    they keep their order, whatever this machine's clock says."""
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    files = [path for path in folder.rglob("*") if path.is_file()]
    shift = time.time() - 60 - max(path.stat().st_mtime for path in files)
    for path in files:
        shifted = path.stat().st_mtime + shift
        os.utime(path, (shifted, shifted))
