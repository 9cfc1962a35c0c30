"""Reading files that may be anything: neither a pipe nor a device is waited for, and none is read that is larger than
its kind can be."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from enas_core.console import UserError

TEXT = 2**20
"""Bytes of the longest settings file."""


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Content of a regular file. Raises OSError as `open` does, and UserError, naming the file, when it is of another
    kind or has more than `most` bytes."""
    # Without O_NONBLOCK, to open a pipe waits for whoever writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check(path, os.fstat(descriptor), most)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read() if most is None else file.read(most + 1)
    finally:
        os.close(descriptor)
    if most is not None and len(content) > most:
        raise UserError(f"{path}: has grown while it was read")
    return content


def read_text(path: Path, most: int = TEXT) -> str:
    """The same as text. Raises UnicodeDecodeError besides."""
    return read_bytes(path, most).decode()


def require_regular(path: Path, most: int | None = None) -> None:
    """Raise as `read_bytes` does, for files that a library opens."""
    _check(path, path.stat(), most)


def _check(path: Path, status: os.stat_result, most: int | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path}: not a regular file")
    if most is not None and status.st_size > most:
        raise UserError(f"{path}: has {status.st_size} bytes; at most {most} are read")
