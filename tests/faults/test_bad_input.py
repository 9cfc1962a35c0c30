"""Every mistake at the entry of a stage is one line and exit code 2, and writes nothing."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trials
from desk import CANDIDATE, STAGES, WITH_DATA, WITH_SETTINGS, Desk, change_manifest, fill, put_array

from enas_core.data import prepare
from enas_core.files.tables import write_table
from enas_core.spaces.saved import load_network
from enas_core.training import selection
from enas_core.training.epochs import Epochs


@pytest.fixture
def desk(inputs: Path, references: dict[str, Any], tmp_path: Path) -> Desk:
    return fill(tmp_path, inputs, references)


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writing more than `size` bytes to a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_a_mistake_every_stage_works(desk: Desk) -> None:
    for stage in STAGES:
        code, lines = desk.run(stage)
        assert code == 0, lines


# --- inputs that change ------------------------------------------------------------------------

LATE = {
    "prepare_data": (prepare, "mean_and_std"),
    "search": (Epochs, "add"),
    "select_arc": (selection, "mark_selected"),
    "augment": (Epochs, "add"),
}
"""What each stage calls when it has begun and written no result yet."""


@pytest.mark.parametrize("stage", list(LATE))
def test_an_orphan_writes_no_results_of_settings_that_were_changed(
    desk: Desk, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.folder / f"config/{stage}.json"
    original = path.read_text()
    usual = getattr(*LATE[stage])

    def edited_meanwhile(*given: Any) -> Any:
        path.write_text(original + " ")
        return usual(*given)

    with monkeypatch.context() as patch:
        patch.setattr(*LATE[stage], edited_meanwhile)
        code, lines = desk.run(stage)
    assert code == 1
    assert lines[-1] == f"error: {path}: changed since this stage started; its results are not written"
    assert [path for path in (desk.folder / "out").rglob("*") if path.is_file() and "state" not in path.parts] == []
    path.write_text(original)
    code, lines = desk.run(stage)
    assert code == 0
    if stage in trials.WEIGHTS:
        assert any("used, of a run that had finished" in line for line in lines)


# --- settings, options --------------------------------------------------------------------------


@pytest.mark.parametrize("stage", WITH_SETTINGS)
def test_settings_files(desk: Desk, stage: str) -> None:
    path = desk.folder / "other.json"
    known = json.loads((desk.folder / f"config/{stage}.json").read_text())
    desk.refuse(stage, "other.json: No such file", config=path)
    desk.refuse(stage, "Is a directory", config=desk.folder)
    for content, word in [
        (b"", "EOF"),
        (b"\xff\xfe", "not a text file"),
        (b"[1]", "object"),
        (b'{"experiment": NaN}', "experiment"),
        (json.dumps(known)[:-9].encode(), "EOF"),
        (json.dumps(known | {"speed": 1}).encode(), "speed: unknown key; allowed: "),
        (json.dumps(known | {"experiment": "../x"}).encode(), "experiment: '../x'"),
        (json.dumps({k: v for k, v in known.items() if k != "experiment"}).encode(), "experiment: missing"),
    ]:
        path.write_bytes(content)
        desk.refuse(stage, "other.json: ", word, config=path)


@pytest.mark.parametrize("stage", WITH_DATA)
def test_options(desk: Desk, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    desk.refuse(stage, "--device cuda: no CUDA device", "allowed here: auto, cpu", device="cuda")
    desk.refuse(stage, "--device", "'tpu'", "auto", device="tpu")
    desk.refuse(stage, "--seed", "'-1'", "greater than or equal to 0", seed=-1)
    desk.refuse(stage, "--seed", "'x'", seed="x")
    desk.refuse(stage, "--data", data=None)
    if stage != "select_arc":
        for minutes in (0, -1, "nan", "x"):
            desk.refuse(stage, "--save-every", f"'{minutes}'", save_every=minutes)


# --- data ---------------------------------------------------------------------------------------


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("stage", WITH_DATA)
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda desk: shutil.rmtree(desk.folder / "data"), ["data/manifest.json: No such file", "run prepare_data"]),
        (lambda desk: (desk.folder / "data/manifest.json").write_text(""), ["manifest.json: not a manifest"]),
        (lambda desk: (desk.folder / "data/manifest.json").write_bytes(b"\xff"), ["manifest.json: not a manifest"]),
        (lambda desk: change_manifest(desk, format=2), ["manifest.json: not a manifest of this version's", "format"]),
        (lambda desk: change_manifest(desk, dataset="cifar10"), ["holds 'cifar10'", "'digits'"]),
        (lambda desk: change_manifest(desk, classes=["a", "b"]), ["labels.npy", "labels out of range 0..1"]),
        (lambda desk: change_manifest(desk, image_shape=[8, 9, 1]), ["manifest.json", "8x9 is not square"]),
        (lambda desk: change_manifest(desk, image_shape=[9, 9, 1]), ["images.npy: not an array"]),
        (lambda desk: change_manifest(desk, mean=[float("nan")]), ["manifest.json", "mean"]),
        (lambda desk: change_manifest(desk, mean=[0.5, 0.5]), ["manifest.json", "each of 1 channels"]),
        (lambda desk: change_manifest(desk, sha256={}), ["train_images.npy: its checksum"]),
        (lambda desk: (desk.folder / "data/test_labels.npy").unlink(), ["test_labels.npy: No such file"]),
        (lambda desk: (desk.folder / "data/train_images.npy").write_bytes(b""), ["train_images.npy: its checksum"]),
        (lambda desk: put_array(desk, "train_images", b""), ["train_images.npy: not an array"]),
        (lambda desk: put_array(desk, "train_labels", npy(np.zeros(3, np.int64))), ["of different length"]),
        (lambda desk: put_array(desk, "train_labels", npy(np.zeros(200, np.int32))), ["train_labels.npy", "int32"]),
        (lambda desk: put_array(desk, "test_images", npy(np.zeros((60, 8, 8, 1)))), ["test_images.npy", "float64"]),
        (lambda desk: put_array(desk, "test_labels", npy(np.array([{}] * 60))), ["test_labels.npy: not an array"]),
    ],
)
def test_data(desk: Desk, stage: str, harm: Callable[[Desk], Any], words: list[str]) -> None:
    harm(desk)
    desk.refuse(stage, *words)


@pytest.mark.parametrize(
    ("stage", "sections", "words"),
    [
        ("search", {"search": {"valid_images": 500}}, ["search.valid_images: 500", "200 training images"]),
        ("augment", {"augment": {"batch_size": 300}}, ["augment.batch_size: 300 is out of range 2..200"]),
        (
            "augment",
            {"augment": {"aux_head": True, "batch_size": 199}},
            ["augment.batch_size: 199 leaves one of 200", "8x8", "in the auxiliary head", "aux_head: false"],
        ),
    ],
)
def test_settings_that_do_not_fit_the_data(desk: Desk, stage: str, sections: dict[str, Any], words: list[str]) -> None:
    path = desk.folder / f"config/{stage}.json"
    content = json.loads(path.read_text())
    for section, values in sections.items():
        content[section] |= values
    path.write_text(json.dumps(content))
    desk.refuse(stage, *words)


# --- arcs, networks, tables ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["24 integers, got 0"]),
        (b"\xff\xfe", ["not a text file"]),
        (b"0 1 0 1", ["24 integers, got 4"]),
        (trials.ARC.encode() * 2, ["24 integers, got 47"]),
        (trials.ARC.replace("4", "5").encode(), ["5 is out of range 0..4"]),
        (trials.ARC.replace("4", "-1").encode(), ["'-1' is not an integer"]),
        (("9" + trials.ARC[1:]).encode(), ["index_1: 9 is out of range 0..1"]),
        (b"__import__('os').system('true')", ["24 integers, got 1"]),
    ],
)
def test_arc_files(desk: Desk, content: bytes, words: list[str]) -> None:
    (desk.folder / "arc.txt").write_bytes(content)
    desk.refuse("augment", "arc.txt: ", *words)
    desk.refuse("select_arc", "arc.txt: ", *words, named_arc=desk.folder / "arc.txt")


def test_missing_files(desk: Desk) -> None:
    missing = desk.folder / "missing"
    desk.refuse("augment", "missing: No such file", arc_file=missing)
    desk.refuse("select_arc", "missing: No such file", named_arc=missing)
    desk.refuse("select_arc", "missing: No such file", supernet=missing)
    desk.refuse("select_arc", "missing: not a readable Parquet file", random_arcs=missing)
    desk.refuse("final", "missing: not a readable Parquet file", candidates=missing)
    desk.refuse("final", "missing/epochs.parquet", models=missing)


def test_supernet_files(desk: Desk) -> None:
    path = desk.folder / "supernet.pt"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    desk.refuse("select_arc", "supernet.pt: not a supernet file")
    for other, word in [
        ({}, "format None"),
        ({"format": 999}, "format 999, this version reads format"),
        ({"format": torch.load(io.BytesIO(content), weights_only=True)["format"]}, "supernet.pt: "),
        ([1, 2], "format None"),
    ]:
        torch.save(other, path)
        desk.refuse("select_arc", word)
    shutil.copy(desk.folder / "model/model.pt", path)
    desk.refuse("select_arc", "supernet.pt: ")
    path.write_bytes(content)
    settings_file = desk.folder / "config/select_arc.json"
    changed = json.loads(settings_file.read_text())
    changed["search"]["num_filters"] = 8
    settings_file.write_text(json.dumps(changed))
    desk.refuse("select_arc", "supernet.pt: not of this supernet")


def test_network_files(desk: Desk) -> None:
    path = desk.folder / "model/model.pt"
    content = torch.load(path, weights_only=True)
    for other in (
        {**content, "format": 999},
        {**content, "arc": "0 1"},
        {**content, "network": {}},
        {**content, "network": {**content["network"], "num_filters": 8}},
        {**content, "state_dict": {}},
        {key: value for key, value in content.items() if key != "classes"},
    ):
        torch.save(other, path)
        with pytest.raises(ValueError, match=r"^[^\n]*model\.pt: [^\n]+$"):
            load_network(path)
        desk.refuse("final", "model.pt: ")
    torch.save({**content, "arc": " ".join(["0 4 1 4"] * 6)}, path)
    desk.refuse("final", "model.pt: ")
    torch.save(content, path)
    write_table(desk.folder / "candidates.parquet", "candidates", [CANDIDATE | {"arc": " ".join(["0 4 1 4"] * 6)}], {})
    desk.refuse("final", f"model.pt: is of arc {trials.ARC}, the selected one is 0 4 1 4")


def test_candidates(desk: Desk) -> None:
    path = desk.folder / "candidates.parquet"
    write_table(path, "candidates", [], {})
    desk.refuse("final", "candidates.parquet: holds no rows")
    for rows in ([CANDIDATE | {"selected": False}], [CANDIDATE] * 2):
        write_table(path, "candidates", rows, {})
        desk.refuse("final", "candidates.parquet: needs one selected candidate")
    write_table(path, "candidates", [CANDIDATE | {"valid_accuracy": None}], {})
    desk.refuse("final", "candidates.parquet: valid_accuracy of row 1 is None")
    shutil.copy(desk.folder / "random_arcs.parquet", path)
    desk.refuse("final", "candidates.parquet: not a table of kind candidates")


# --- results folders ----------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_folder_that_cannot_be_written(desk: Desk, stage: str) -> None:
    """Below a regular file, since nothing is read-only to the superuser."""
    for option in {"out-dir", "state-dir", "out", "arc-out"} & set(desk.options(stage)):
        code, lines = desk.run(stage, **{option: desk.folder / "file/below"})
        assert code == 2
        assert lines[-1].startswith(f"error: {desk.folder / 'file'}")
        assert lines[-1].endswith(("Not a directory", "File exists"))
        assert "Traceback" not in "".join(lines)
    code, lines = desk.run(stage, log_file=desk.folder / "file/below.log")
    assert (code, len(lines)) == (2, 1)


@pytest.mark.parametrize("stage", list(trials.WEIGHTS))
def test_outputs_that_cannot_be_replaced_are_seen_before_the_training(desk: Desk, stage: str) -> None:
    (desk.folder / "link").symlink_to(desk.folder / "nowhere")
    desk.refuse(stage, "link: Not a directory", out_dir=desk.folder / "link")
    for name in (trials.WEIGHTS[stage], "epochs.parquet"):
        folder = desk.folder / f"with {name}"
        (folder / name).mkdir(parents=True)
        desk.refuse(stage, f"{name}: Is a directory", out_dir=folder)


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("random_arcs", "random_arcs.parquet"),
        ("select_arc", "candidates.parquet"),
        ("final", "final.pt"),
    ],
)
def test_full_disk(desk: Desk, stage: str, name: str) -> None:
    with file_size_limit(100):
        code, lines = desk.run(stage)
    assert code == 2
    assert lines[-1] == f"error: {desk.folder / 'out' / name}: File too large"
    assert list((desk.folder / "out").glob("*")) == []  # also where the folder itself is gone again
