"""Balanced accuracy, and the tables of classes and of what they are taken for."""

import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_recall_fscore_support

from enas_core import class_accuracy
from enas_core.analysis.classes import balanced_accuracy, class_rows, confusion_rows, sentence
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import read_table
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.saved import save_network
from enas_core.spaces.space import NetworkShape

NAMES = ["ant", "bee", "cow"]
CONFUSION = np.array([[90, 8, 2], [5, 5, 0], [0, 0, 0]])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    truth = generator.choice(4, 300, p=[0.7, 0.2, 0.1, 0])
    answers = np.where(generator.random(300) < 0.6, truth, generator.integers(0, 3, 300))
    confusion = confusion_matrix(truth, answers, labels=range(4))
    assert balanced_accuracy(confusion) == pytest.approx(balanced_accuracy_score(truth, answers))
    precision, recall, _, images = precision_recall_fscore_support(truth, answers, labels=range(4))
    for label, row in enumerate(class_rows(confusion, "abcd")):
        assert (row["label"], row["class"], row["test_images"]) == (label, "abcd"[label], images[label])
        assert row["accuracy"] == (pytest.approx(recall[label]) if images[label] else None)
        if images[label]:
            assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
        assert row["precision"] == (pytest.approx(precision[label]) if (answers == label).any() else None)


def test_what_is_said():
    assert balanced_accuracy(CONFUSION) == (0.9 + 0.5) / 2
    assert sentence(CONFUSION, NAMES) == (
        "accuracy 86.4%, mean over the classes 70.0%; always answering ant would give 90.9% and 50.0%;"
        " the worst class is bee, 50.0% of 10 images"
    )


def test_every_pair_has_a_row():
    rows = confusion_rows(CONFUSION, NAMES)
    assert [(row["class"], row["answer"]) for row in rows] == [(a, b) for a in NAMES for b in NAMES]
    assert [row["images"] for row in rows] == CONFUSION.ravel().tolist()


# --- the command ------------------------------------------------------------------------------------------------------


def saved(path, **facts):
    shape = NetworkShape(num_layers=1, num_filters=4, image_size=8, in_channels=1, num_classes=3, aux_head=False)
    known = {"classes": NAMES, "mean": [0.5], "std": [0.25], "experiment": "tiny", "test_accuracy": 0.5}
    known |= {"dataset": "mine", "provenance": {"device": "cpu", "config_fingerprint": "abc"}}
    save_network(path, MicroNetwork(uniform_arc(0, 2), shape), known | facts)
    return ["--network", str(path), "--out-dir", str(path.parent / "out")]


def test_tables(tmp_path, capsys):
    assert class_accuracy.main(saved(tmp_path / "final.pt", confusion=CONFUSION.tolist())) == 0
    classes = read_table(tmp_path / "out/classes.parquet", "classes")
    assert list(classes[0]) == SCHEMAS["classes"].names
    assert [row["accuracy"] for row in classes] == [0.9, 0.5, None]
    assert {(row["experiment"], row["dataset"]) for row in classes} == {("tiny", "mine")}
    pairs = read_table(tmp_path / "out/confusion.parquet", "confusion")
    assert [row["images"] for row in pairs] == CONFUSION.ravel().tolist()
    assert "the worst class is bee" in capsys.readouterr().err


@pytest.mark.parametrize("facts", [{}, {"confusion": None}])
def test_a_network_of_an_earlier_version_has_empty_tables(tmp_path, capsys, facts):
    assert class_accuracy.main(saved(tmp_path / "final.pt", **facts)) == 0
    assert read_table(tmp_path / "out/classes.parquet", "classes") == []
    assert "the tables are empty" in capsys.readouterr().err


@pytest.mark.parametrize("confusion", [[[1]], [[1, 2], [3]], [[-1] * 3] * 3, [[0] * 3] * 3, "text", json.loads("{}")])
def test_a_wrong_matrix_is_one_line(tmp_path, capsys, confusion):
    assert class_accuracy.main(saved(tmp_path / "final.pt", confusion=confusion)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path / 'final.pt'}: incomplete network file")
    assert not (tmp_path / "out").exists()
