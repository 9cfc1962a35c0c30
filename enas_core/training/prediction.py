"""Classes of many image files, by a trained network: what `python -m enas_core.predict` does."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from enas_core.console import UserError, progress
from enas_core.data.folder import SUFFIXES
from enas_core.data.parallel import cores, in_parallel
from enas_core.files.pictures import Picture, read_image
from enas_core.spaces.networks import Network
from enas_core.spaces.predicting import BATCH


class ImageFile(NamedTuple):
    """One of the files that a network is asked about."""

    path: Path
    class_name: str | None
    """The right answer; None: nobody knows it."""

    @property
    def name(self) -> str:
        """As text: bytes that are no UTF-8 are shown by their codes."""
        return os.fsencode(self.path).decode(errors="backslashreplace")


class Answer(NamedTuple):
    """What became of one file."""

    file: ImageFile
    changes: list[str]
    """What was done to the image, as in `Picture`."""
    classes: list[tuple[str, float]]
    """The likeliest classes with their probabilities, the likeliest first; none of a file that cannot be read."""
    problem: str | None
    """Why it cannot be read, in one line that names it."""


def listed(paths: Sequence[Path], classes: Sequence[str]) -> list[ImageFile]:
    """The image files that are given, and all that lie in the folders that are given. Those in a folder of which a
    sub-folder is called like one of `classes`, and only those, have a right answer. Raises UserError where a folder
    holds no image."""
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(ImageFile(path, None))
            continue
        inside = [ImageFile(file, _class_of(file.relative_to(path), classes)) for file in _images_below(path)]
        if not inside:
            raise UserError(f"{path}: no image files are in it")
        found += inside
    return found


def _images_below(folder: Path) -> Iterator[Path]:
    """By name, hidden ones aside."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _images_below(entry)
        elif entry.suffix.lower() in SUFFIXES:
            yield entry


def _class_of(place: Path, classes: Sequence[str]) -> str | None:
    """By the first folder of a relative path."""
    return place.parts[0] if len(place.parts) > 1 and place.parts[0] in classes else None


def answers(network: Network, files: Sequence[ImageFile], count: int, device: torch.device) -> Iterator[Answer]:
    """The `count` likeliest classes of each file, in the order of the files. All cores decode them, and few are in
    memory at a time."""
    network.to(device)
    batch: list[tuple[ImageFile, Picture | UserError]] = []
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(cores()) as pool:
        pictures = in_parallel(pool, lambda file: _read(network, file), files)
        for one in progress(zip(files, pictures, strict=True), "predicting", total=len(files)):
            batch.append(one)
            if len(batch) == BATCH:
                yield from _answered(network, batch, count, device)
                batch = []
    yield from _answered(network, batch, count, device)


def _read(network: Network, file: ImageFile) -> Picture | UserError:
    try:
        return read_image(file.path, network.form)
    except UserError as error:
        return error


def _answered(
    network: Network, batch: Iterable[tuple[ImageFile, Picture | UserError]], count: int, device: torch.device
) -> Iterator[Answer]:
    """Of one batch."""
    pixels = [found.pixels for _, found in batch if isinstance(found, Picture)]
    likeliest: Iterator[list[tuple[str, float]]] = iter(())
    if pixels:
        images = network.normalised(torch.from_numpy(np.stack(pixels)).to(device))
        likeliest = iter(network.likeliest(images, count))
    for file, found in batch:
        if isinstance(found, Picture):
            yield Answer(file, found.changes, next(likeliest), None)
        else:
            yield Answer(file, [], [], str(found))


def rows_of(answer: Answer) -> Iterator[dict[str, Any]]:
    """Rows of the table `predictions`: one for each of the likeliest classes, or one that says why there are none."""
    about: dict[str, Any] = {"file": answer.file.name, "class": answer.file.class_name}
    if answer.problem is not None:
        yield about | {"error": answer.problem}
    for rank, (name, probability) in enumerate(answer.classes, start=1):
        known = answer.file.class_name
        correct = None if known is None else name == known
        yield about | {"rank": rank, "answer": name, "probability": probability, "correct": correct}


class Tally:
    """How many files could be read, and how often the answer was right where that is known."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read = self.unreadable = self.known = self.first = self.among = 0

    def add(self, answer: Answer) -> None:
        """Of one file."""
        if answer.problem is not None:
            self.unreadable += 1
            return
        self.read += 1
        if answer.file.class_name is not None:
            names = [name for name, _ in answer.classes]
            self.known += 1
            self.first += names[0] == answer.file.class_name
            self.among += answer.file.class_name in names

    def __str__(self) -> str:
        parts = [f"{self.read} images"]
        if self.unreadable:
            parts.append(f"{self.unreadable} more could not be read")
        if self.known:
            parts.append(f"accuracy {self.first / self.known:.4f} of the {self.known} in folders of their classes")
        if self.known and self.count > 1:
            parts.append(f"the class is among the first {self.count} of {self.among / self.known:.4f}")
        return ", ".join(parts)
