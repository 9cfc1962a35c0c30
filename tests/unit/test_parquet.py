"""Images from Parquet files: every form of them that works, and every kind of bad input."""

import functools
import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preparing import OUTPUTS, assert_refused, encoded, load, pixels, run, stage_settings, write_parquet

from enas_core.data.prepare import prepare
from enas_core.settings.dataset import CLASSES


@pytest.mark.parametrize("sub", [".", "data", "cifar100", "plain_text"])
def test_cifar100_in_shards(tmp_path, sub):
    images, labels = pixels(200), np.arange(200) % 100
    for i in range(2):
        shard, half = tmp_path / "hub" / sub / f"train-0000{i}-of-00002.parquet", slice(100 * i, 100 * (i + 1))
        write_parquet(shard, map(encoded, images[half]), labels[half], "image", "fine_label", pa.uint8())
    write_parquet(
        tmp_path / "hub" / sub / "test-00000-of-00001.parquet", [encoded(images[7])], [99], label="fine_label"
    )
    manifest = prepare(stage_settings("cifar100", train=200, test=1), tmp_path / "hub", tmp_path / "out")
    train_images, train_labels, _, test_labels, _ = load(tmp_path / "out")
    np.testing.assert_array_equal(train_images, images)
    np.testing.assert_array_equal(train_labels, labels)
    assert test_labels.tolist() == [99]
    assert manifest["classes"] == CLASSES["cifar100"]
    assert len(manifest["source_sha256"]) == 3


def test_jpeg_and_other_modes_become_rgb(tmp_path, parquet):
    grey = np.full((32, 32), 77, np.uint8)
    contents = [encoded(grey, "JPEG", quality=100), encoded(grey, "PNG"), *map(encoded, parquet[1][2:])]
    write_parquet(parquet[0] / "train.parquet", contents, parquet[3])
    prepare(stage_settings(), parquet[0], tmp_path / "out")
    assert (load(tmp_path / "out")[0][:2] == 77).all()


def replaced(values, position, value):
    values = list(values)
    values[position] = value
    return values


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda images, labels: (replaced(images, 3, None), labels), ["row 3: image is null"]),
        (lambda images, labels: (replaced(images, 3, b""), labels), ["row 3: not a readable PNG or JPEG"]),
        (lambda images, labels: (replaced(images, 3, images[3][:500]), labels), ["row 3: not a readable PNG or JPEG"]),
        (lambda images, labels: (replaced(images, 3, encoded(pixels(1)[0], "BMP")), labels), ["row 3: not a readable"]),
        (
            lambda images, labels: (replaced(images, 19, encoded(pixels(1, size=31)[0])), labels),
            ["row 19: image is 31x31, expected 32x32"],
        ),
        (lambda images, labels: ([encoded(i) for i in pixels(20, size=16)], labels), ["row 0: image is 16x16"]),
        (
            lambda images, labels: (replaced(images, 3, encoded(np.full((32, 32), 9999, np.uint16))), labels),
            ["row 3: image has more than 8 bits a channel"],
        ),
        (
            lambda images, labels: (replaced(images, 3, encoded(np.full((32, 32, 4), 254, np.uint8))), labels),
            ["row 3: image has transparent parts"],
        ),
        (lambda images, labels: (images, replaced(labels, 5, 10)), ["row 5: label 10 is out of range 0..9"]),
        (lambda images, labels: (images, replaced(labels, 5, -1)), ["row 5: label -1 is out of range 0..9"]),
        (lambda images, labels: (images, replaced(labels, 5, None)), ["row 5: label is null"]),
    ],
)
def test_bad_rows(tmp_path, parquet, change, words):
    folder, train, _, labels = parquet
    write_parquet(folder / "train.parquet", *change([encoded(image) for image in train], [int(i) for i in labels]))
    assert_refused(tmp_path, stage_settings(), folder, folder / "train.parquet", *words)


def test_an_alpha_channel_without_effect_is_dropped(tmp_path, parquet):
    opaque = [encoded(np.dstack([image, np.full((32, 32), 255, np.uint8)])) for image in parquet[1]]
    write_parquet(parquet[0] / "train.parquet", opaque, parquet[3])
    prepare(stage_settings(), parquet[0], tmp_path / "out")
    assert np.array_equal(np.load(tmp_path / "out/train_images.npy"), parquet[1])


def test_rows_are_counted_over_the_whole_file(tmp_path, parquet, monkeypatch):
    monkeypatch.setattr("enas_core.data.parquet.CHUNK", 4)
    write_parquet(parquet[0] / "train.parquet", map(encoded, parquet[1]), replaced(parquet[3], 17, 11))
    assert_refused(tmp_path, stage_settings(), parquet[0], "row 17: label 11 is out of range")
    write_parquet(parquet[0] / "train.parquet", map(encoded, parquet[1]), replaced(parquet[3], 17, None))
    assert_refused(tmp_path, stage_settings(), parquet[0], "row 17: label is null")
    write_parquet(parquet[0] / "train.parquet", [*map(encoded, parquet[1][1:]), b"?"], parquet[3])
    assert_refused(tmp_path, stage_settings(), parquet[0], "row 19: not a readable")


@pytest.mark.filterwarnings("error")
def test_an_image_that_claims_to_be_huge_is_not_decoded(tmp_path, parquet):
    huge = bytearray(encoded(parquet[1][0]))
    for width, words in (
        (12_000, "image is 12000x12000, expected 32x32"),  # Pillow warns
        (100_000, "not a readable PNG or JPEG image: Image size"),  # Pillow refuses
    ):
        huge[16:24] = struct.pack(">II", width, width)
        huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
        write_parquet(parquet[0] / "train.parquet", [bytes(huge), *map(encoded, parquet[1][1:])], parquet[3])
        assert_refused(tmp_path, stage_settings(), parquet[0], f"row 0: {words}")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"img": pa.array([b""] * 20)}, ["integer column label"]),
        ({"label": pa.array(range(20))}, ["a column img or image", "label: int64"]),
        ({"label": pa.array(range(20)), "img": pa.array([b""] * 20)}, ["struct<bytes: binary", "img: binary"]),
        ({"label": pa.array(range(20)), "img": pa.array([{"path": "a"}] * 20)}, ["struct<bytes: binary"]),
        ({"label": pa.array(range(20)), "img": pa.array([{"bytes": "a"}] * 20)}, ["struct<bytes: binary"]),
        ({"label": pa.array(["a"] * 20), "img": pa.array([{"bytes": b"a"}] * 20)}, ["integer column label"]),
        ({"label": pa.array([0.5] * 20), "img": pa.array([{"bytes": b"a"}] * 20)}, ["integer column label"]),
        ({}, ["it has no columns"]),
    ],
)
def test_wrong_columns(tmp_path, parquet, columns, words):
    pq.write_table(pa.table(columns), parquet[0] / "train.parquet")
    assert_refused(tmp_path, stage_settings(), parquet[0], parquet[0] / "train.parquet", *words)


def test_cifar10_files_are_not_cifar100(tmp_path, parquet):
    assert_refused(tmp_path, stage_settings("cifar100", train=100), parquet[0], "integer column fine_label")


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: b"", "empty file"),
        (lambda content: content[: len(content) // 2], "not a readable Parquet file"),
        (lambda content: content[:-1], "not a readable Parquet file"),
        (lambda content: b"PAR1", "not a readable Parquet file"),
        (lambda content: bytes(len(content)), "not a readable Parquet file"),
        (lambda content: content[:-200] + bytes(100) + content[-100:], "not a readable Parquet file"),
    ],
)
def test_damaged_parquet_files(tmp_path, parquet, part, change, words):
    path = parquet[0] / f"{part}.parquet"
    path.write_bytes(change(path.read_bytes()))
    assert_refused(tmp_path, stage_settings(), parquet[0], path, words)


def test_missing_files(tmp_path, parquet):
    folder = parquet[0]
    assert_refused(tmp_path, stage_settings(), tmp_path / "nowhere", tmp_path / "nowhere", "no such folder")
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path, stage_settings(), tmp_path / "empty", "neither train.parquet nor train-*.parquet")
    (folder / "test.parquet").unlink()
    assert_refused(tmp_path, stage_settings(), folder, folder, "neither test.parquet nor test-*.parquet")
    (folder / "test.parquet").mkdir()
    assert_refused(tmp_path, stage_settings(), folder, folder / "test.parquet", "Is a directory")
    code, lines, _ = run(tmp_path, stage_settings())
    assert (code, lines) == (2, ["error: cifar10 from parquet needs --data-path"])


def mutated(content, edits, cut):
    content = bytearray(content)
    for position, value in edits:
        content[int(position * (len(content) - 1))] ^= value
    return bytes(content[: len(content) - int(cut * len(content))])


@functools.cache
def flat_parquet():
    """Files of which the structure, not the pixels, is the larger part: (train, test)."""
    images = [encoded(np.full((32, 32, 3), 20 * i, np.uint8)) for i in range(10)]
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "train.parquet"), Path(folder, "test.parquet")
        write_parquet(paths[0], images, range(10))
        write_parquet(paths[1], images[:2], range(2))
        return tuple(path.read_bytes() for path in paths)


# Mostly in the footer, which is where the structure is.
positions = st.floats(0, 1) | st.floats(0.5, 1)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    part=st.sampled_from([0, 1]),
    edits=st.lists(st.tuples(positions, st.integers(1, 255)), max_size=8),
    cut=st.just(0.0) | st.floats(0, 1),
)
def test_mutated_parquet_files_work_or_give_one_line(part, edits, cut):
    with tempfile.TemporaryDirectory() as name:
        folder, contents = Path(name), list(flat_parquet())
        contents[part] = mutated(contents[part], edits, cut)
        (folder / "train.parquet").write_bytes(contents[0])
        (folder / "test.parquet").write_bytes(contents[1])
        code, lines, out_dir = run(folder, stage_settings(train=10, test=2), "--data-path", folder)
        if code == 0:
            assert sorted(os.listdir(out_dir)) == OUTPUTS
        else:
            assert code == 2
            assert [line[:7] for line in lines] == ["error: "]
            assert not out_dir.exists()
