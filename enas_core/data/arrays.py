"""Array files of prepared images that are written image by image, in any order, without being held in memory."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import numpy as np

from enas_core.files.reading import require_regular


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """How numpy's file format begins."""
    header = io.BytesIO()
    facts = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()


class ImageFile:
    """An array file of uint8 images [N, H, W, C]. Use as a context manager; a full disk is an OSError at its start."""

    def __init__(self, path: Path, shape: tuple[int, int, int, int]) -> None:
        self.path, self.shape = path, shape
        self.header = npy_header(shape, np.dtype(np.uint8))
        self.image_bytes = shape[1] * shape[2] * shape[3]

    def __enter__(self) -> ImageFile:
        self.descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.posix_fallocate(self.descriptor, 0, len(self.header) + self.shape[0] * self.image_bytes)
            self._write(self.header, 0)
        except BaseException:
            os.close(self.descriptor)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def put(self, position: int, image: np.ndarray) -> None:
        """Write one image."""
        self._write(image.tobytes(), len(self.header) + position * self.image_bytes)

    def _write(self, content: bytes, offset: int) -> None:
        if os.pwrite(self.descriptor, content, offset) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))


def file_sha256(path: Path) -> str:
    """Of a file that may be larger than the memory."""
    require_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
