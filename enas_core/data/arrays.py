"""Array files of prepared images: written image by image, in any order, without being held in memory, and mapped into
memory where they are read. Needs no torch."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import numpy as np

from enas_core.console import UserError
from enas_core.data.manifest import MANIFEST, Manifest
from enas_core.files.reading import require_regular

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
"""Their names, without `.npy`."""


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


def mapped_arrays(folder: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    """The arrays beside a manifest, memory-mapped. Raises UserError, one line, unless their types, sizes and numbers
    are those of the manifest, and OSError where a file is missing."""
    arrays = {name: _mapped(folder / f"{name}.npy", manifest) for name in ARRAYS}
    for part, count in (("train", manifest.images.train), ("test", manifest.images.test)):
        images, labels = len(arrays[f"{part}_images"]), len(arrays[f"{part}_labels"])
        if images != labels:
            raise UserError(f"{folder}: {part}_images.npy and {part}_labels.npy are of different length")
        if images != count:
            raise UserError(f"{folder}: {MANIFEST} counts {count} {part} images, there are {images}")
    return arrays


def _mapped(path: Path, manifest: Manifest) -> np.ndarray:
    """An array file, memory-mapped. It is never written to: copy-on-write is what torch takes without a warning."""
    require_regular(path)
    part, _, what = path.stem.partition("_")
    kind, shape = (np.uint8, manifest.stored_shape(part)) if what == "images" else (np.int64, ())
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
        if array.dtype != kind or array.shape[1:] != shape or not len(array):
            raise ValueError(f"{array.dtype} of shape {array.shape}")
        if not shape and not 0 <= array.min() <= array.max() < len(manifest.classes):
            raise ValueError(f"labels out of range 0..{len(manifest.classes) - 1}")
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: not an array of prepare_data: {error}") from None
    return array
