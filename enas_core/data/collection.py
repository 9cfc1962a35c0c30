"""Images of the user's own as their source lists them, before any of them is decoded: classes, parts and labels.

`folder.py` and `parquet.py` make collections; `own.py` decodes and writes them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enas_core.console import UserError

PARTS = ("train", "valid", "test")
"""What a source may be divided into; all but `train` may be missing."""

UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of characters that no name has: control characters, halves of pairs, and ends of lines."""


class Encoded(NamedTuple):
    """One image as it is stored."""

    where: str
    """File, and row if it has some, for messages."""
    read: Callable[[], bytes]
    """Its content; other threads call it."""


@dataclass(frozen=True)
class Part:
    """The images of one part, in the order of the source."""

    labels: NDArray[np.int64]
    images: Callable[[], Iterable[Encoded]]
    """All of them, one after the other; may be called more than once."""

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, kept: NDArray[np.bool_]) -> Part:
        """Those images that are kept."""
        return Part(self.labels[kept], lambda: (image for image, keep in zip(self.images(), kept, strict=True) if keep))


@dataclass(frozen=True)
class Collection:
    """What a source holds."""

    where: str
    """The folder, for messages."""
    classes: list[str]
    """In the order of the labels."""
    parts: Mapping[str, Part]
    """By the names in `PARTS`."""
    checksums: Callable[[], dict[str, str]] | None = None
    """Of the source's files, by name, for the manifest; None: each image is a file, and there may be a million."""


def require_classes(where: str, classes: list[str], labels: Mapping[str, NDArray[np.int64]]) -> None:
    """Raise UserError unless there are two classes or more, spelt unlike, and images of each to train on."""
    if len(classes) < 2:
        raise UserError(f"{where}: needs two classes or more, has {len(classes)}")
    require_unlike(where, classes)
    trained = set(labels["train"].tolist())
    for part in ("valid", "test"):
        for label in sorted(set(labels.get(part, np.empty(0, np.int64)).tolist()) - trained):
            raise UserError(f"{where}: class {classes[label]!r} is in the part {part} only; training images are needed")
    for label, name in enumerate(classes):
        if label not in trained:
            raise UserError(f"{where}: class {name!r} has no training images")


def require_unlike(where: str, names: Iterable[str]) -> None:
    """Raise UserError where two names differ only in case, in the way that letters are encoded, or in what is between
    words; and where one is no text that a table can hold and a line can show."""
    seen: dict[str, str] = {}
    for name in names:
        if any(unicodedata.category(letter) in UNSEEN for letter in name):
            raise UserError(
                f"{where}: {name!a}: control characters, or bytes that are no UTF-8, in the name of a class"
            )
        folded = unicodedata.normalize("NFKC", name).casefold()
        key = re.sub(r"(?<!\d)[ _-]+|[ _-]+(?!\d)", "", folded)  # 1-1 is not 11
        if key in seen:
            raise UserError(f"{where}: {seen[key]!r} and {name!r}: two spellings of one class")
        seen[key] = name
