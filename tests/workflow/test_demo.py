"""The search that `make demo` shows has learned, and says so."""

import json

import pandas as pd
import pytest
from workspace import ROOT, Workspace

from enas_core.files.tables import read_provenance, read_table


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The demo's first search with its candidates, by its own config file."""
    workspace = Workspace(tmp_path_factory.mktemp("demo"))
    workspace.config = ROOT / "config.yaml"
    workspace.make("results/digits/search/s1/own/candidates.parquet")
    return workspace.results / "digits/search/s1"


def test_children_are_right_far_more_often_than_guessing(searched):
    candidates = pd.DataFrame(read_table(searched / "own/candidates.parquet", "candidates"))
    assert len(candidates) == 100
    assert candidates["valid_accuracy"].mean() >= 0.6


def test_the_signal_check_calls_it_learned(searched):
    (row,) = read_table(searched / "signal.parquet", "signal")
    assert row["verdict"] == "order repeats"
    assert row["chance"] < 0.15
    assert row["reliability"] > 0.5


def test_the_files_say_that_the_images_are_noisy(searched):
    manifest = json.loads((searched.parents[1] / "data/manifest.json").read_text())
    assert manifest["images"] == {"train": 1200, "test": 1194}
    assert read_provenance(searched / "signal.parquet")["device"].startswith("cpu (1 thread")
