"""The 14 best practices, by what a run knows."""

from pathlib import Path

import pytest

from enas_core.files.tables import read_table, write_table
from enas_core.pages.checklist import checklist
from enas_core.pages.finished import Finished

EVIDENCE = Path(__file__).parents[2] / "docs/evidence/digits"


@pytest.fixture
def metrics():
    return read_table(EVIDENCE / "metrics.parquet", "metrics")


def points(metrics, folder=EVIDENCE):
    return checklist(Finished(folder, metrics))["points"]


def test_there_are_fourteen(metrics):
    found = checklist(Finished(EVIDENCE, metrics))
    assert len(found["points"]) == 14
    assert sum(found["counts"].values()) == 14


def state_of(words, found):
    (point,) = [point for point in found if words in point.practice]
    return point.state


def test_what_this_run_has(metrics):
    found = points(metrics)
    for words in ("cleaned up", "ablation", "evaluation protocol", "several times", "confounding"):
        assert state_of(words, found) == "kept", words
    for words in ("training pipeline", "random sampling", "hyperparameter", "tabular"):
        assert state_of(words, found) == "open", words
    assert state_of("details", found) == "not kept"  # the tables alone do not hold the settings


def test_what_a_run_lacks(metrics, tmp_path):
    one = [row for row in metrics if row["network"] == "searched-s1"]
    made_by = {"enas_version": "1", "git_commit": "abc-dirty"}
    write_table(tmp_path / "metrics.parquet", "metrics", one, made_by)
    found = points(one, tmp_path)
    for words in ("cleaned up", "ablation", "random sampling", "several times"):
        assert state_of(words, found) == "not kept", words


def test_two_devices_are_a_confounder(metrics):
    metrics[0]["device"] = "cuda"
    assert state_of("confounding", points(metrics)) == "not kept"


def test_other_epochs_are_another_protocol(metrics):
    metrics[0]["epochs"] = 7
    assert state_of("evaluation protocol", points(metrics)) == "not kept"
