"""Inputs of small trainings."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "faults"))

import trials


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Settings, arc and images. Batches of 19 of the 200 and 140 images: the last ones have 10 and 7."""
    folder = tmp_path_factory.mktemp("inputs")
    trials.write_inputs(folder)
    changes = {"batch_size": 19, "train_aux_head": True}
    trials.write_settings(folder / "config", search=changes, augment=changes)
    return folder
