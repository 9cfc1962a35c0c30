"""Results that many tests read, made once, though several processes run the tests."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` has filled; not to be changed.

    Each process of pytest-xdist has fixtures of its own. The first one that needs the folder makes it, with the cores
    of those that need it too and wait for it.
    """
    root = factory.getbasetemp()
    if root.name.startswith("popen-gw"):  # the folder of one of several processes
        root = root.parent
    folder, complete = root / name, root / f"{name}.complete"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            complete.touch()
    return folder
