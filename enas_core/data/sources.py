"""What all sources of images share: their parts come in chunks, and their files are read whole and remembered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from enas_core.console import UserError
from enas_core.files.reading import read_bytes

CHUNK = 1000
"""Images that are decoded, or counted, at a time."""

Chunk = tuple[np.ndarray, np.ndarray]
"""Some images of a part (uint8 [N, H, W, C]) and their labels (int64 [N])."""


def existing_folder(data_path: Path) -> Path:
    """`data_path`, if it is a folder. Raises UserError when it is not."""
    if not data_path.is_dir():
        raise UserError(f"{data_path}: --data-path: no such folder")
    return data_path


def read_source(path: Path, digests: dict[str, str]) -> bytes:
    """Content of a source file, whose sha256 goes into `digests`."""
    content = read_bytes(path)
    if not content:
        raise UserError(f"{path}: empty file")
    digests[path.name] = hashlib.sha256(content).hexdigest()
    return content


def checked_labels(where: str, labels: np.ndarray, classes: int, first_row: int = 0) -> np.ndarray:
    """Integer `labels` as int64. Raises UserError at the first that is out of range."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(f"{where}: row {first_row + row}: label {labels[row]} is out of range 0..{classes - 1}")
    return labels.astype(np.int64)
