"""Reads the golden directory, which is `ENAS_GOLDEN` or the project's own copy, and measures distances from it.

`tests/golden/README.md` says what the files hold. Any of them may be absent: the tests are parametrised with what is
there, and those that find nothing are skipped.
"""

from __future__ import annotations

import functools
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DIRECTORY = Path(os.environ.get("ENAS_GOLDEN") or Path(__file__).parents[1] / "golden")


@functools.cache
def read_json(name: str) -> dict[str, Any]:
    """The content of `name`.json; empty when the file is absent."""
    path = DIRECTORY / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


@functools.cache
def read_npz(name: str) -> dict[str, np.ndarray]:
    """The arrays of `name`.npz; empty when the file is absent."""
    path = DIRECTORY / f"{name}.npz"
    if not path.exists():
        return {}
    with np.load(path) as arrays:
        return dict(arrays)


def files(prefix: str) -> list[str]:
    """The names of the files `prefix`*.json, without their ending."""
    return sorted(path.stem for path in DIRECTORY.glob(f"{prefix}*.json"))


def needs(value: Any) -> pytest.MarkDecorator:
    """Skips a test where the value of a golden file is absent or empty."""
    return pytest.mark.skipif(not value, reason="not in the golden directory")


def absolute(found: Any, expected: Any) -> float:
    """The largest absolute difference. It is infinite where shapes differ or only one value is nan."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape or (np.isnan(found) != np.isnan(expected)).any():
        return math.inf
    return float(np.nan_to_num(np.abs(found - expected)).max())


def relative(found: Any, expected: Any) -> float:
    """The largest absolute difference as a fraction of the largest expected value."""
    largest = float(np.nanmax(np.abs(np.asarray(expected, np.float64))))
    return absolute(found, expected) / (largest or 1.0)
