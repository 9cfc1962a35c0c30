"""Locks: what only one process at a time may do.

A lock is a file. The system releases it when the process that holds it dies, however it dies, and on the file systems
that the workflow needs it holds for all machines.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from enas_core.console import UserError, log
from enas_core.files.atomic import require_writable


@contextlib.contextmanager
def only_writer(output: Path, wait: bool = True) -> Iterator[None]:
    """While the body runs, which computes what it writes to `output` at the end, nobody else does the same.

    So who comes last also writes last: a stage that has outlived its Snakemake does not put results of other settings
    in the place of its rerun's. Waits for a process that does the same, and says so, or raises UserError. Raises
    OSError where the folder cannot be written to. A folder that was made for this and stays empty is removed again."""
    folder = output.parent
    require_writable(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".lock-{output.name}"
    lock = take_lock(path, output, wait)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is released: afterwards it may be another process's
        lock.close()
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def take_lock(path: Path, what: Path, wait: bool = False) -> BinaryIO:
    """The open lock file `path`, which holds the lock on `what` until it is closed. While another process has it, waits
    or raises UserError, which names the process. Raises OSError, naming `path`, where there can be no lock."""
    while True:
        lock = path.open("ab+", buffering=0)
        try:
            if not _is_free(lock):
                owner = _owner(lock)
                if not wait:
                    raise UserError(f"{what}: in use by another process ({owner}); wait until it has ended, or end it")
                log.info("waiting for another process (%s), which makes %s", owner, what)
                fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_still(lock, path):
                lock.truncate(0)
                lock.write(f"process {os.getpid()} on {os.uname().nodename}".encode())
                return lock
        except OSError as error:
            lock.close()
            raise OSError(error.errno, error.strerror, str(path)) from None
        except BaseException:
            lock.close()
            raise
        lock.close()


def _is_free(lock: BinaryIO) -> bool:
    """Whether the lock could be taken."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(lock: BinaryIO) -> str:
    """Who has the lock."""
    lock.seek(0)
    return lock.read().decode(errors="replace") or "unknown"


def _is_still(lock: BinaryIO, path: Path) -> bool:
    """Whether the open file is the one at `path`, which the holder before may have removed meanwhile."""
    try:
        with path.open("rb") as now:  # opened, since a network file system answers `stat` from memory
            return os.path.samestat(os.fstat(lock.fileno()), os.fstat(now.fileno()))
    except FileNotFoundError:
        return False
