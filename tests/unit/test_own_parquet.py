"""Any dataset in the Hugging Face layout, and the same images from a folder."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from preparing import assert_refused, encoded, load, pixels, run, stage_settings, write_parquet

from enas_core.data.prepare import prepare


def own(**other):
    return stage_settings("flowers", "parquet", **{"train": None, "test": None, **other})


def declare(path, **names):
    """Add what Hugging Face's library says of columns that hold classes."""
    features = {column: {"_type": "ClassLabel", "names": list(found)} for column, found in names.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)


@pytest.fixture
def hub(tmp_path):
    """A folder with two shards of 30 training images in all, 9 test images, and their pixels and labels."""
    folder = tmp_path / "hub"
    train, test = pixels(30, size=12), pixels(9, seed=1, size=12)
    labels = np.arange(30) // 10
    for i, rows in enumerate((slice(0, 14), slice(14, 30))):
        path = folder / "data" / f"train-0000{i}-of-00002.parquet"
        write_parquet(path, map(encoded, train[rows]), labels[rows], "image")
        declare(path, label=("rose", "iris", "aster"))
    write_parquet(folder / "data/test-00000-of-00001.parquet", map(encoded, test), labels[:27:3], "image")
    return folder, train, labels, test, labels[:27:3]


def pairs(images, labels):
    return sorted((int(label), image.tobytes()) for image, label in zip(images, labels, strict=True))


def test_images_labels_and_class_names(tmp_path, hub):
    folder, train, labels, test, test_labels = hub
    manifest = prepare(own(), folder, tmp_path / "out")
    found = load(tmp_path / "out")
    assert pairs(*found[:2]) == pairs(train, labels)
    assert pairs(*found[2:4]) == pairs(test, test_labels)
    assert manifest["classes"] == ["rose", "iris", "aster"]
    assert manifest["images"] == {"train": 30, "test": 9, "valid": 0}
    assert len(manifest["source_sha256"]) == 3
    assert np.bincount(found[1][-6:]).tolist() == [2, 2, 2]  # the files list class by class


def test_without_metadata_classes_are_numbers(tmp_path, hub):
    for path in (hub[0] / "data").glob("train-*"):
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    assert prepare(own(), hub[0], tmp_path / "out")["classes"] == ["0", "1", "2"]


def test_validation_files_are_held_out(tmp_path, hub):
    (hub[0] / "data/test-00000-of-00001.parquet").rename(hub[0] / "data/validation-00000-of-00001.parquet")
    manifest = prepare(own(split_test_share=0.2), hub[0], tmp_path / "out")
    assert manifest["images"] == {"train": 24 + 9, "test": 6, "valid": 9}
    found = load(tmp_path / "out")
    assert pairs(found[0][-9:], found[1][-9:]) == pairs(hub[3], hub[4])


def test_which_column_holds_the_labels(tmp_path, hub):
    for path in (hub[0] / "data").iterdir():
        table = pq.read_table(path)
        pq.write_table(table.append_column("colour", pa.array([1, 0] * 20)[: len(table)]), path)
        declare(path, label="abc", colour=("red", "blue"))
    first = hub[0] / "data/train-00000-of-00002.parquet"
    assert prepare(own(), hub[0], tmp_path / "by label")["classes"] == ["a", "b", "c"]
    assert prepare(own(label_column="colour"), hub[0], tmp_path / "by colour")["classes"] == ["red", "blue"]
    assert_refused(tmp_path, own(label_column="taste"), hub[0], first, "needs an integer column taste")
    for path in (hub[0] / "data").iterdir():
        pq.write_table(pq.read_table(path).rename_columns(["image", "kind", "colour"]), path)
        declare(path, kind="abc", colour=("red", "blue"))
    assert_refused(tmp_path, own(), hub[0], first, "dataset.label_column: must say which one: kind, colour")


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [
        (3, None, "row 3: label is null"),
        (5, -1, "row 5: label -1 is out of range 0..2"),
        (13, 3, "row 13: label 3 is out of range 0..2"),
    ],
)
def test_bad_labels(tmp_path, hub, row, value, words):
    folder, train, labels, _, _ = hub
    path = folder / "data/train-00000-of-00002.parquet"
    changed = [value if i == row else int(label) for i, label in enumerate(labels[:14])]
    write_parquet(path, map(encoded, train[:14]), changed, "image")
    declare(path, label=("rose", "iris", "aster"))
    assert_refused(tmp_path, own(), folder, path, words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "row 70: image is null"),
        (b"", "row 70: empty file"),
        (b"text", "row 70: not a readable image: unknown format"),
    ],
)
def test_bad_images(tmp_path, hub, content, words):
    path = hub[0] / "data/test-00000-of-00001.parquet"
    images = [*map(encoded, pixels(70, size=12)), content, encoded(pixels(1, size=12)[0])]
    write_parquet(path, images, np.arange(72) % 3, "image")
    assert_refused(tmp_path, own(), hub[0], path, words)


@pytest.mark.parametrize("change", [lambda c: b"", lambda c: c[:-1], lambda c: bytes(len(c)), lambda c: b"PAR1"])
def test_damaged_files(tmp_path, hub, change):
    path = hub[0] / "data/train-00001-of-00002.parquet"
    path.write_bytes(change(path.read_bytes()))
    assert_refused(tmp_path, own(), hub[0], path, "not a readable Parquet file")


def test_missing_files(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path, own(), tmp_path / "empty", "neither train.parquet nor train-*.parquet is there, nor in")
    code, lines, _ = run(tmp_path, own())
    assert (code, lines) == (2, ["error: flowers from parquet needs --data-path"])


def test_cifar_from_a_folder_is_cifar_from_parquet(tmp_path, parquet):
    """The same images and labels, whatever their order, once Parquet's have been written out as files."""
    folder, train, test, labels = parquet
    prepare(stage_settings(), folder, tmp_path / "of parquet")
    of_parquet = load(tmp_path / "of parquet")
    classes = of_parquet[4]["classes"]
    for part, images in (("train", train), ("test", test)):
        for i, (image, label) in enumerate(zip(images, labels, strict=False)):
            path = tmp_path / "files" / part / classes[label] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(image))
    prepare(stage_settings("cifar10", "folder", None, None), tmp_path / "files", tmp_path / "of files")
    of_files = load(tmp_path / "of files")
    assert of_files[4]["classes"] == classes
    assert pairs(*of_files[:2]) == pairs(*of_parquet[:2])
    assert pairs(*of_files[2:4]) == pairs(*of_parquet[2:4])
    assert of_files[4]["mean"] == of_parquet[4]["mean"]
