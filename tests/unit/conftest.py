"""Fixtures that several files of tests share."""

import numpy as np
import pytest
from preparing import encoded, pixels, write_parquet


@pytest.fixture
def parquet(tmp_path):
    """A folder with 20 training and 10 test images, and what is in it."""
    train, test, labels = pixels(20), pixels(10, seed=1), np.arange(20) % 10
    write_parquet(tmp_path / "data/train.parquet", map(encoded, train), labels)
    write_parquet(tmp_path / "data/test.parquet", map(encoded, test), labels[:10])
    return tmp_path / "data", train, test, labels
