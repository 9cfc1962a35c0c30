"""Runs the workflow on a disk that is full again and again, each time a little later, until it suffices.

`unshare --map-root-user --mount python full_disk.py FOLDER UNDISTURBED` mounts a small disk at FOLDER, which nobody but
this process and its children sees, and compares the results at the end with those in UNDISTURBED.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from workflows import Workspace, check_full_disk

SHARES = (0.02, 0.05, 0.2, 0.4, 0.6, 0.9)
"""Of the space that an undisturbed run needs, what there is in turn."""


def used(folder: Path) -> int:
    """KiB."""
    return int(subprocess.run(["du", "-s", "-k", folder], capture_output=True, text=True, check=True).stdout.split()[0])


def main(folder: Path, undisturbed: Path) -> None:
    """The whole scenario; says how often the disk was full."""
    needed = used(undisturbed)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={2 * needed}k", "none", folder], check=True)
    workspace, ballast, full = Workspace(folder), folder / "ballast", 0
    outputs = folder.with_name("outputs")
    outputs.mkdir()
    workspace.output = str(outputs / "snakemake")
    for share in SHARES:
        available = shutil.disk_usage(folder).free
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, available - int(share * 1024 * needed))
        run = workspace.start(cores=2)
        if run.end() != 0:
            full += 1
            check_full_disk(run.printed)
        ballast.unlink()
        workspace.unlock()
    workspace.again(cores=2)
    workspace.assert_same_results(Workspace(undisturbed))
    workspace.assert_nothing_to_do()
    print(full)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
