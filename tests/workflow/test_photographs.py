"""A folder of a user's own photographs, from mixed files to comparison, report and a file for other runtimes, by one
command."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from photographs import CLASSES, write_photographs
from workspace import ROOT, Workspace, comparable

from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import read_table
from enas_core.spaces.saved import load_network

CONFIG = ROOT / "tests/configs/photographs.yaml"
RESULTS = "results/tiny"
TARGETS = [f"{RESULTS}/{name}" for name in ("final.pt", "comparison.parquet", "report/complete", "final.onnx")]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """320 files in three classes of unequal size, without a test part; not to be changed."""
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder, "train")
    return folder


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """All of it of them; not to be changed."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"))
    shutil.copy(CONFIG, workspace.config)
    workspace.make(*TARGETS, "--config", f"data_path={photos}")
    return workspace


@pytest.fixture
def copy(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, to be changed."""
    subprocess.run(["cp", "-a", f"{finished.folder}/.", str(tmp_path)], check=True)
    return Workspace(tmp_path)


def test_the_fixture_is_what_people_have(photos: Path) -> None:
    files = list(photos.glob("train/*/*"))
    assert len(files) == sum(CLASSES.values()) >= 300
    assert {path.suffix for path in files} == {".jpg", ".png"}


def test_what_the_images_are_is_known_from_the_manifest(finished: Workspace) -> None:
    manifest = json.loads((finished.results / "tiny/data/manifest.json").read_text())
    assert (manifest["dataset"], manifest["classes"]) == ("stripes", list(CLASSES))
    assert manifest["images"] == {"train": 256, "test": 64, "valid": 0}
    assert (manifest["image_shape"], manifest["stored_size"]) == ([32, 32, 3], 36)
    network = load_network(finished.results / "tiny/final.pt")
    assert (network.classes, network.shape.stem) == (list(CLASSES), "strided")
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_each_class_counts_in_the_tables(finished: Workspace) -> None:
    results = finished.results / "tiny"
    classes = read_table(results / "classes.parquet", "classes")
    pairs = read_table(results / "confusion.parquet", "confusion")
    assert [(row["class"], row["test_images"]) for row in classes] == [("checked", 12), ("level", 18), ("upright", 34)]
    assert sum(pair["images"] for pair in pairs) == 64
    searched = [row for row in read_table(results / "metrics.parquet", "metrics") if row["role"] == "searched"]
    recalls = [row["accuracy"] for row in classes]
    assert searched[0]["balanced_accuracy"] == pytest.approx(sum(recalls) / 3)
    assert searched[0]["test_accuracy"] == pytest.approx(sum(row["correct"] for row in classes) / 64)
    (row,) = read_table(results / "comparison.parquet", "comparison")
    assert list(row) == SCHEMAS["comparison"].names
    assert row["searched_balanced_mean"] == pytest.approx(searched[0]["balanced_accuracy"])
    assert row["random_balanced_mean"] is not None
    (signal,) = read_table(results / "search/s1/signal.parquet", "signal")
    assert signal["chance"] == 34 / 64  # the commonest class, of which the held-out images have their fair share


def test_the_exported_file_answers_as_the_network_did(finished: Workspace) -> None:
    """Each class of the test images in the table, by onnxruntime alone."""
    results = finished.results / "tiny"
    images, labels = (np.load(results / f"data/test_{what}.npy") for what in ("images", "labels"))
    session = onnxruntime.InferenceSession(results / "final.onnx")
    (logits,) = session.run(["logits"], {"images": images})
    answers = logits.argmax(1)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(CLASSES)
    correct = [int((answers[labels == label] == label).sum()) for label in range(3)]
    assert correct == [row["correct"] for row in read_table(results / "classes.parquet", "classes")]


def test_the_report_shows_the_classes(copy: Workspace) -> None:
    copy.make(*TARGETS, f"{RESULTS}/report.html")
    page = (copy.results / "tiny/report.html").read_text()
    assert all(name in page for name in CLASSES)
    copy.make("--report", "results/report.html", *TARGETS)
    page = (copy.results / "report.html").read_text()
    for name in ("confusion.svg", "classes.html"):
        assert name in page
    table = (copy.results / "tiny/report/classes.html").read_text()
    assert all(name in table for name in CLASSES)


def test_where_the_images_are_changes_nothing(copy: Workspace, photos: Path) -> None:
    """The whole of it again with images that are streamed: every table and weight is the same."""
    kept = shutil.copytree(copy.results, copy.folder / "kept") / "tiny"
    streamed = ["--config", "data_on_device=never", f"data_path={photos}"]
    assert copy.make(*TARGETS, *streamed) == []
    for path in (copy.results / "tiny").iterdir():
        if path.name not in ("data", "config"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = copy.run(*TARGETS[:2], "--printshellcmds", *streamed)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("--device auto --data-on-device never") == 1 + 2 + 3  # search, two scorings, trainings
    for name in ("search/s1/epochs.parquet", "search/s1/candidates.parquet", "networks/random-00/seed1/epochs.parquet"):
        assert comparable(kept / name).equals(comparable(copy.results / "tiny" / name)), name
    for name in ("final.pt", "networks/random-01/seed1/model.pt"):
        before, after = (torch.load(root / name, weights_only=True) for root in (kept, copy.results / "tiny"))
        assert before["state_dict"].keys() == after["state_dict"].keys()
        assert all(torch.equal(value, after["state_dict"][key]) for key, value in before["state_dict"].items())


def test_what_does_not_fit_is_one_line_before_any_training(copy: Workspace) -> None:
    copy.edit(search__valid_images=256)
    (copy.results / "tiny/data/checked").unlink()
    printed = copy.fail(*TARGETS)
    lines = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert lines == [
        "error: results/tiny/data does not fit the settings:"
        " search.valid_images: 256 is out of range 1..255 (256 training images)"
    ]
    assert "rule search" not in printed


def test_an_unreadable_photograph_is_one_line(photos: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    shutil.copy(CONFIG, workspace.config)
    spoilt = Path(shutil.copytree(photos, tmp_path / "spoilt"))
    bad = next(iter(sorted(spoilt.glob("train/level/*.jpg"))))
    bad.write_bytes(bad.read_bytes()[:1000])
    printed = workspace.fail(f"{RESULTS}/final.pt", "--config", f"data_path={spoilt}")
    (line,) = {line for line in printed.splitlines() if line.startswith("error: ")}
    assert line.startswith(f"error: {bad}: not a readable image: ")
    workspace.edit(dataset__skip_unreadable=True)
    workspace.make(f"{RESULTS}/data/manifest.json", "--config", f"data_path={spoilt}")
    manifest = json.loads((workspace.results / "tiny/data/manifest.json").read_text())
    assert sum(manifest["images"].values()) == 319
    assert [told.split(": ")[0] for told in manifest["skipped"]] == [str(bad.relative_to(spoilt))]
