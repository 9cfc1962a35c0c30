"""Prepared images as tensors: on the device, or memory-mapped on the host, from where batches are fetched ahead.

Where they are changes no result. On a CPU they are mapped, so that they take no memory but the system's cache of files;
on a GPU they are copied to it where they fit, and otherwise come batch by batch.

Shapes: N images of a split, S pixels a side as they are stored, C channels.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from enas_core.console import UserError
from enas_core.data.arrays import ARRAYS, file_sha256, mapped_arrays
from enas_core.data.manifest import MANIFEST, Manifest, read_manifest
from enas_core.files.atomic import write_text
from enas_core.files.reading import TEXT, read_bytes
from enas_core.settings.training import Training
from enas_core.spaces.predicting import normalisation

LARGE = 256 * 2**20
"""Bytes from which an array file is not read at every start to see whether it is the one that was written."""

VERIFIED = ".verified.json"
"""In the folder of the arrays: size, time and number of the large files whose checksums have been verified."""

AHEAD = 2
"""Batches that are fetched while another one is computed with."""

SHARE = 0.5
"""Of the memory that is free on a device, so much may be taken by images."""

Rows = Tensor | slice
"""Some images of a split."""


@dataclass(frozen=True)
class Split:
    """Some images with their labels."""

    images: Tensor
    """uint8 [N, S, S, C]; on the device, or `streamed`."""
    labels: Tensor
    """int64 [N], on the device."""
    scale: Tensor
    """[C]: a pixel value 0..255 times this, plus `shift`, is normalised."""
    shift: Tensor
    """[C]."""
    shown_size: int | None = None
    """Side of the images that networks see, where it is less than S; None: S."""
    streamed: bool = False
    """Whether the images are on the host and come to the device batch by batch."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """Side of the images that networks see, pixels."""
        return self.shown_size or self.images.shape[1]

    @property
    def margin(self) -> int:
        """What the stored images have more than that on each side, pixels."""
        return (self.images.shape[1] - self.size) // 2

    def part(self, start: int, stop: int) -> Split:
        """Images start..stop-1."""
        return replace(self, images=self.images[start:stop], labels=self.labels[start:stop])

    def batches(self, batches: Iterable[Rows]) -> Iterator[Split]:
        """The images of each of several batches, on the device. Those that are streamed are fetched ahead."""
        if not self.streamed:
            for rows in batches:
                yield replace(self, images=self.images[rows], labels=self.labels[rows])
            return
        for rows, images in ahead(self._fetched, batches):
            on_device = images.to(self.labels.device, non_blocking=True)
            labels = self.labels[rows.to(self.labels.device) if isinstance(rows, Tensor) else rows]
            yield replace(self, images=on_device, labels=labels, streamed=False)

    def _fetched(self, rows: Rows) -> Tensor:
        """Some images, in memory of the host from which a GPU can take them by itself."""
        images = self.images[rows].clone() if isinstance(rows, slice) else self.images[rows.cpu()]
        return images.pin_memory() if self.labels.is_cuda else images


A = TypeVar("A")
B = TypeVar("B")


def ahead(work: Callable[[A], B], items: Iterable[A]) -> Iterator[tuple[A, B]]:
    """Items with the results of `work`, which another thread does for the next few items meanwhile."""
    waiting: deque[tuple[A, Future[B]]] = deque()
    with ThreadPoolExecutor(1) as thread:
        for item in items:
            waiting.append((item, thread.submit(work, item)))
            if len(waiting) > AHEAD:
                done, result = waiting.popleft()
                yield done, result.result()
        while waiting:
            done, result = waiting.popleft()
            yield done, result.result()


class Dataset(NamedTuple):
    """A prepared dataset."""

    train: Split
    test: Split
    manifest: Manifest


def divided(images: Split, training: Training) -> tuple[Split, Split]:
    """The training images that a section trains on, and those that it holds out."""
    held_out = len(images) - training.valid_images
    return images.part(0, training.trained_images(len(images))), images.part(held_out, len(images))


def load_prepared(folder: Path, device: torch.device, on_device: str = "auto") -> Dataset:
    """Read what prepare_data wrote. `on_device`: `Workflow.data_on_device`. Raises UserError, one line, when a file is
    missing or not as the manifest says."""
    manifest = read_manifest(folder / MANIFEST)
    try:
        require_written(folder, manifest)
        arrays = mapped_arrays(folder, manifest)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; run prepare_data") from None

    scale, shift = normalisation(manifest.mean, manifest.std)
    if on_device == "auto":
        images = arrays["train_images"].nbytes + arrays["test_images"].nbytes
        on_device = "always" if fit_on(device, images) else "never"

    def split(part: str) -> Split:
        images = torch.from_numpy(arrays[f"{part}_images"])
        if on_device == "always" and device.type != "cpu":
            images = images.to(device)
        return Split(
            images,
            torch.from_numpy(np.array(arrays[f"{part}_labels"])).to(device),
            scale.to(device),
            shift.to(device),
            manifest.image_size,
            streamed=on_device == "never",
        )

    return Dataset(split("train"), split("test"), manifest)


def fit_on(device: torch.device, size: int) -> bool:
    """Whether so many bytes of images fit on a device beside a training. Memory-mapped files take memory that the
    system can take back, so on a CPU they fit where the machine has it."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return size <= SHARE * free


def require_written(folder: Path, manifest: Manifest) -> None:
    """Raise UserError unless the array files are those that the manifest was written with. Checksums of large ones are
    read when a file is new here; later starts see from its size, time and number that it is still the same."""
    known = _read_verified(folder / VERIFIED)
    verified = {}
    for name in (f"{array}.npy" for array in ARRAYS):
        expected = manifest.sha256.get(name)
        status = (folder / name).stat()
        identity = [expected, status.st_size, status.st_mtime_ns, status.st_ino]
        large = status.st_size >= LARGE
        if not (large and known.get(name) == identity) and file_sha256(folder / name) != expected:
            raise UserError(f"{folder / name}: its checksum is not the one in manifest.json; run prepare_data again")
        if large:
            verified[name] = identity
    if verified != known:
        with suppress(OSError):  # a folder that cannot be written to is verified each time
            write_text(folder / VERIFIED, json.dumps(verified) + "\n")


def _read_verified(path: Path) -> dict[str, object]:
    """What has been verified; empty where nothing readable says so."""
    try:
        found = json.loads(read_bytes(path, TEXT))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
