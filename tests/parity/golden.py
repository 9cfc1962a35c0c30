"""Reads the golden directory: `ENAS_GOLDEN`, or the project's own copy."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DIRECTORY = Path(os.environ.get("ENAS_GOLDEN") or Path(__file__).parents[1] / "golden")


class Comparison(NamedTuple):
    """One comparison with the original: passes when `error` <= `tolerance`."""

    quantity: str
    error: float
    tolerance: float

    @property
    def passes(self) -> bool:
        return self.error <= self.tolerance  # false for nan


class Case(NamedTuple):
    """One case of the golden files; `check` compares everything that they say about it."""

    name: str
    check: Callable[[], Iterator[Comparison]]


def read_json(name: str) -> dict[str, Any]:
    """Content of `name`.json; empty when the file is absent."""
    path = DIRECTORY / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def read_npz(name: str) -> dict[str, np.ndarray]:
    """Arrays of `name`.npz; empty when the file is absent."""
    path = DIRECTORY / f"{name}.npz"
    if not path.exists():
        return {}
    with np.load(path) as arrays:
        return dict(arrays)


def names(prefix: str) -> list[str]:
    """Files `prefix`*.json, without the ending."""
    return sorted(path.stem for path in DIRECTORY.glob(f"{prefix}*.json"))


def absolute(found: Any, expected: Any) -> float:
    """Largest absolute difference; infinite where shapes differ or only one is nan."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape or (np.isnan(found) != np.isnan(expected)).any():
        return math.inf
    return float(np.nan_to_num(np.abs(found - expected)).max())


def relative(found: Any, expected: Any) -> float:
    """Largest difference as a fraction of the largest expected value."""
    return absolute(found, expected) / (float(np.nanmax(np.abs(np.asarray(expected, np.float64)))) or 1.0)
