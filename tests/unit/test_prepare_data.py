"""The data stage on tiny files: every source, every kind of bad input."""

import contextlib
import functools
import hashlib
import http.server
import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from enas_core import prepare_data
from enas_core.data.cifar import CifarFiles, _ArraysOnly, torchvision_files
from enas_core.data.prepare import mean_and_std, prepare
from enas_core.data.sources import CLASSES
from enas_core.prepare_data import main
from enas_core.settings.dataset import DATASETS, Source
from enas_core.settings.stages import PrepareDataStage, to_json

OUTPUTS = ["manifest.json", "test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy"]


def stage_settings(name="cifar10", source="parquet", train=20, test=10, **other):
    values = {"name": name, "source": source, "max_train_images": train, "max_test_images": test, **other}
    return PrepareDataStage(experiment="tiny", dataset=Source(**values))


def run(folder, stage, *options):
    """main() on `stage`: exit code, the lines on stderr that are errors, and the output folder."""
    configfile, out_dir = folder / "settings.json", folder / "out"
    configfile.write_text(to_json(stage))
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        code = main(["--config", str(configfile), "--out-dir", str(out_dir), *map(str, options)])
    return (
        code,
        [line for line in stderr.getvalue().splitlines() if not line.startswith(("reading ", "downl"))],
        out_dir,
    )


def assert_refused(folder, stage, data_path, *words):
    """Exit code 2, one line that has all the words, and no output."""
    code, lines, out_dir = run(folder, stage, "--data-path", data_path)
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    for word in words:
        assert str(word) in lines[0]
    assert not out_dir.exists()


def load(out_dir):
    arrays = [np.load(out_dir / f"{part}_{what}.npy") for part in ("train", "test") for what in ("images", "labels")]
    return (*arrays, json.loads((out_dir / "manifest.json").read_text()))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- Parquet ------------------------------------------------------------------------------------


def pixels(number, seed=0, size=32):
    return np.random.default_rng(seed).integers(0, 256, (number, size, size, 3), np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def write_parquet(path, contents, labels, image="img", label="label", label_type=None):
    rows = [content if content is None else {"bytes": content, "path": "a/0.png"} for content in contents]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({image: pa.array(rows, kind), label: pa.array(labels, label_type or pa.int64())}), path)


@pytest.fixture
def parquet(tmp_path):
    """A folder with 20 training and 10 test images, and what is in it."""
    train, test, labels = pixels(20), pixels(10, seed=1), np.arange(20) % 10
    write_parquet(tmp_path / "data/train.parquet", map(encoded, train), labels)
    write_parquet(tmp_path / "data/test.parquet", map(encoded, test), labels[:10])
    return tmp_path / "data", train, test, labels


def test_parquet_gives_the_images_and_a_manifest(tmp_path, parquet):
    folder, train, test, labels = parquet
    code, lines, out_dir = run(tmp_path, stage_settings(), "--data-path", folder, "--log-file", tmp_path / "logs/log")
    assert code == 0
    assert sorted(os.listdir(out_dir)) == OUTPUTS
    train_images, train_labels, test_images, test_labels, manifest = load(out_dir)
    np.testing.assert_array_equal(train_images, train)
    np.testing.assert_array_equal(test_images, test)
    np.testing.assert_array_equal(train_labels, labels)
    np.testing.assert_array_equal(test_labels, labels[:10])
    assert train_images.dtype == test_images.dtype == np.uint8
    assert train_labels.dtype == test_labels.dtype == np.int64
    scaled = train / 255
    np.testing.assert_allclose(manifest.pop("mean"), scaled.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(manifest.pop("std"), scaled.std((0, 1, 2)), rtol=1e-12)
    assert manifest == {
        "format": 1,
        "dataset": "cifar10",
        "source": "parquet",
        "classes": CLASSES["cifar10"],
        "image_shape": [32, 32, 3],
        "images": {"train": 20, "test": 10},
        "sha256": {name: sha256(out_dir / name) for name in OUTPUTS[1:]},
        "source_sha256": {name: sha256(folder / name) for name in ("train.parquet", "test.parquet")},
    }
    log = (tmp_path / "logs/log").read_text()
    assert lines == [line.split(" ", 2)[2] for line in log.splitlines()[1:]]
    assert "cifar10 from parquet: 20 training and 10 test images" in log
    assert "mean 0.4" in log


def test_a_second_run_gives_the_same_bytes(tmp_path, parquet):
    contents = []
    for _ in range(2):
        assert run(tmp_path, stage_settings(), "--data-path", parquet[0])[0] == 0
        contents.append([(tmp_path / "out" / name).read_bytes() for name in OUTPUTS])
    assert contents[0] == contents[1]


def test_the_first_images_are_taken(tmp_path, parquet):
    folder, train, test, _ = parquet
    manifest = prepare(stage_settings(train=12, test=3), folder, tmp_path / "out")
    assert manifest["images"] == {"train": 12, "test": 3}
    train_images, _, test_images, _, _ = load(tmp_path / "out")
    np.testing.assert_array_equal(train_images, train[:12])
    np.testing.assert_array_equal(test_images, test[:3])
    np.testing.assert_allclose(manifest["mean"], train[:12].mean((0, 1, 2)) / 255)


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


def test_class_names():
    for name, facts in DATASETS.items():
        assert len(set(CLASSES[name])) == len(CLASSES[name]) == facts.classes
        assert CLASSES[name] == sorted(CLASSES[name])


def small_facts(monkeypatch, train, test):
    facts = DATASETS["cifar10"]._replace(train_images=train, test_images=test)
    monkeypatch.setitem(DATASETS, "cifar10", facts)


def test_all_images_are_used_without_a_limit(tmp_path, parquet, monkeypatch):
    small_facts(monkeypatch, 20, 10)
    assert prepare(stage_settings(train=None, test=None), parquet[0], tmp_path / "out")["images"]["train"] == 20


@pytest.mark.parametrize(
    ("facts", "limits", "words"),
    [
        ((21, 10), (None, None), ["20 train images found, 21 expected", "dataset.max_train_images: all"]),
        ((19, 10), (None, None), ["20 train images found, 19 expected"]),
        ((20, 11), (None, None), ["10 test images found, 11 expected", "dataset.max_test_images: all"]),
        ((50_000, 10_000), (21, None), ["20 train images found, 21 expected", "dataset.max_train_images: 21"]),
        ((50_000, 10_000), (20, 11), ["10 test images found, 11 expected", "dataset.max_test_images: 11"]),
        ((50_000, 10_000), (10**15, 10), ["dataset.max_train_images: 1000000000000000 is out of range 1..50000"]),
    ],
)
def test_wrong_number_of_images(tmp_path, parquet, monkeypatch, facts, limits, words):
    small_facts(monkeypatch, *facts)
    assert_refused(tmp_path, stage_settings(train=limits[0], test=limits[1]), parquet[0], *words)


def test_absent_class(tmp_path, parquet):
    words = ["class 'horse' (label 7) is absent from the 7 training images (3 of 10 classes"]
    assert_refused(tmp_path, stage_settings(train=7), parquet[0], parquet[0], *words)


def test_constant_channel(tmp_path, parquet):
    images = parquet[1].copy()
    images[..., 2] = 9
    write_parquet(parquet[0] / "train.parquet", map(encoded, images), parquet[3])
    assert_refused(tmp_path, stage_settings(), parquet[0], "channel 2 has the same value")


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
    monkeypatch.setattr(prepare_data, "CHUNK", 4)
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


# --- original CIFAR files -----------------------------------------------------------------------


class Python2Pickler(pickle._Pickler):
    """Pickles strings as Python 2 did, which wrote the original files."""

    def save_string(self, value):
        content = value if isinstance(value, bytes) else value.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}


def python2_pickle(value):
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch(images, labels, key="labels"):
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
    return python2_pickle({"batch_label": "batch", key: [int(i) for i in labels], "data": planes, "filenames": ["a"]})


def write_cifar(folder, contents):
    """Write files and give their table; a name that starts with `test` belongs to the test part."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    sums = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    parts = [{name: md5 for name, md5 in sums.items() if name.startswith("test") == test} for test in (False, True)]
    return CifarFiles(folder.name, *parts, url="http://127.0.0.1:9/none.tar.gz", archive="none.tar.gz", archive_md5="0")


@pytest.fixture
def cifar(tmp_path):
    """Two training batches and a test batch: folder, table, images, labels."""
    images, labels = pixels(30), np.arange(30) % 10
    contents = {
        "data_batch_1": batch(images[:10], labels[:10]),
        "data_batch_2": batch(images[10:20], labels[10:20]),
        "test_batch": batch(images[20:], labels[20:]),
    }
    folder = tmp_path / "cifar-10-batches-py"
    return folder, write_cifar(folder, contents), images, labels


ORIGINAL = stage_settings(source="torchvision")


def test_torchvision_knows_the_files():
    for name, folder, files in (("cifar10", "cifar-10-batches-py", 5), ("cifar100", "cifar-100-python", 1)):
        known = torchvision_files(name)
        assert known.folder == folder
        assert (len(known.train), len(known.test)) == (files, 1)
        assert all(len(md5) == 32 for md5 in [*known.train.values(), *known.test.values(), known.archive_md5])


@pytest.mark.parametrize("where", [".", ".."])
def test_cifar10_from_an_existing_folder(tmp_path, cifar, where):
    folder, files, images, labels = cifar
    manifest = prepare(ORIGINAL, (folder / where).resolve(), tmp_path / "out", cifar_files=files)
    train_images, train_labels, test_images, test_labels, _ = load(tmp_path / "out")
    np.testing.assert_array_equal(np.concatenate([train_images, test_images]), images)
    np.testing.assert_array_equal(np.concatenate([train_labels, test_labels]), labels)
    assert manifest["source"] == "torchvision"
    names = ("data_batch_1", "data_batch_2", "test_batch")
    assert manifest["source_sha256"] == {name: sha256(folder / name) for name in names}


def test_cifar100_from_an_existing_folder(tmp_path):
    images, labels = pixels(100), np.arange(100)
    contents = {name: batch(images, labels, "fine_labels") for name in ("train", "test")}
    files = write_cifar(tmp_path / "cifar-100-python", contents)
    settings = stage_settings("cifar100", "torchvision", train=100, test=10)
    manifest = prepare(settings, tmp_path, tmp_path / "out", cifar_files=files)
    assert manifest["images"] == {"train": 100, "test": 10}
    np.testing.assert_array_equal(load(tmp_path / "out")[0], images)


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_a_file_with_a_wrong_checksum_is_never_unpickled(tmp_path, cifar, monkeypatch):
    folder, files, _, _ = cifar
    trace = tmp_path / "trace"
    content = pickle.dumps(Malicious(trace), protocol=2)
    (folder / "data_batch_2").write_bytes(content)
    unpickled = []
    monkeypatch.setattr(prepare_data, "torchvision_files", lambda name: files)
    load = _ArraysOnly.load
    monkeypatch.setattr(_ArraysOnly, "load", lambda self: unpickled.append(1) or load(self))
    md5 = hashlib.md5(content).hexdigest()
    expected = files.train["data_batch_2"]
    assert_refused(tmp_path, ORIGINAL, folder, folder / "data_batch_2", f"checksum is {md5}, expected {expected}")
    assert len(unpickled) == 1  # data_batch_1
    assert not trace.exists()
    pickle.loads(content)  # it would have worked
    assert trace.exists()


def test_a_malicious_file_with_the_right_checksum_does_nothing(tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    content = pickle.dumps(Malicious(trace), protocol=2)
    files = write_cifar(tmp_path / "cifar-10-batches-py", {"data_batch_1": content, "test_batch": content})
    monkeypatch.setattr(prepare_data, "torchvision_files", lambda name: files)
    assert_refused(tmp_path, ORIGINAL, tmp_path, "data_batch_1: not a CIFAR batch", "posix.mkdir does not belong")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"\x80\x02", "not a CIFAR batch"),
        (batch(pixels(20), range(20))[:-900], "not a CIFAR batch"),
        (python2_pickle([1, 2]), "not a CIFAR batch"),
        (python2_pickle({"data": 3, "labels": []}), "not a CIFAR batch"),
        (python2_pickle({"labels": [1]}), "not a CIFAR batch"),
        (python2_pickle({"data": np.zeros((2, 3072)), "labels": [1, 2]}), "needs uint8 data"),
        (python2_pickle({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}), "needs uint8 data"),
        (python2_pickle({"data": np.zeros((2, 3072), np.uint8), "labels": ["a", "b"]}), "needs uint8 data"),
        (python2_pickle({"data": np.zeros((2, 3072), np.uint8), "labels": [[1], [2, 3]]}), "not a CIFAR batch"),
        (python2_pickle({"data": np.zeros((2, 3071), np.uint8), "labels": [1, 2]}), "not a CIFAR batch"),
        (batch(pixels(20), [*range(19), 10]), "row 10: label 10 is out of range 0..9"),
    ],
)
def test_malformed_batches(tmp_path, monkeypatch, content, words):
    files = write_cifar(tmp_path / "cifar-10-batches-py", {"data_batch_1": content, "test_batch": content})
    monkeypatch.setattr(prepare_data, "torchvision_files", lambda name: files)
    assert_refused(tmp_path, ORIGINAL, tmp_path, "data_batch_1", words)


def test_missing_cifar_files(tmp_path, cifar, monkeypatch):
    folder, files, _, _ = cifar
    monkeypatch.setattr(prepare_data, "torchvision_files", lambda name: files)
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path, ORIGINAL, tmp_path / "empty", "there is no cifar-10-batches-py in it")
    (folder / "test_batch").unlink()
    assert_refused(tmp_path, ORIGINAL, folder, folder / "test_batch", "No such file")
    code, lines, _ = run(tmp_path, ORIGINAL)
    assert (code, lines) == (2, ["error: cifar10 from torchvision needs --data-path or --download-dir"])


# --- download -----------------------------------------------------------------------------------


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    requests: list

    def log_message(self, *args):
        self.requests.append(args)


@pytest.fixture
def download(tmp_path, cifar, monkeypatch):
    """A server on this machine that has the tiny files' archive: the table, and a list that grows by requests."""
    folder, files, _, _ = cifar
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / "tiny.tar.gz", "w:gz") as tar:
        tar.add(folder, folder.name)
    for path in folder.iterdir():
        path.unlink()
    requests = []
    handler = type("Handler", (QuietHandler,), {"requests": requests})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(served)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    archive_md5 = hashlib.md5((served / "tiny.tar.gz").read_bytes()).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/tiny.tar.gz"
    yield files._replace(url=url, archive="tiny.tar.gz", archive_md5=archive_md5), requests
    server.shutdown()
    server.server_close()


def test_download(tmp_path, download, cifar):
    files, requests = download
    manifest = prepare(ORIGINAL, None, tmp_path / "out", tmp_path / "downloads", files)
    assert manifest["images"] == {"train": 20, "test": 10}
    np.testing.assert_array_equal(load(tmp_path / "out")[0], cifar[2][:20])
    assert os.listdir(tmp_path / "downloads") == ["cifar-10-batches-py"]
    number = len(requests)
    assert number > 0
    assert prepare(ORIGINAL, None, tmp_path / "out", tmp_path / "downloads", files) == manifest
    assert len(requests) == number  # nothing was fetched again
    (tmp_path / "downloads/cifar-10-batches-py/data_batch_2").write_bytes(b"damaged")
    assert prepare(ORIGINAL, None, tmp_path / "out", tmp_path / "downloads", files) == manifest
    assert len(requests) > number


@pytest.mark.parametrize("change", [{"archive_md5": "0" * 32}, {"url": "http://127.0.0.1:9/none.tar.gz"}])
def test_failed_download(tmp_path, download, monkeypatch, change):
    files = download[0]._replace(**change)
    monkeypatch.setattr(prepare_data, "torchvision_files", lambda name: files)
    code, lines, out_dir = run(tmp_path, ORIGINAL, "--download-dir", tmp_path / "downloads")
    errors = [line for line in lines if line.startswith("error: ")]
    assert code == 2
    assert len(errors) == 1
    assert f"{files.url}: download failed: " in errors[0]
    assert not out_dir.exists()
    assert [path for path in (tmp_path / "downloads").rglob("*") if path.is_file()] == []


# --- digits -------------------------------------------------------------------------------------


def digits(seed=0, **other):
    return stage_settings(
        "digits", "digits", **{"train": None, "test": None, "split_test_images": 297, **other}, split_seed=seed
    )


def test_digits(tmp_path):
    manifest = prepare(digits(), None, tmp_path / "out")
    train_images, train_labels, test_images, test_labels, stored = load(tmp_path / "out")
    assert manifest == stored
    assert train_images.shape == (1500, 8, 8, 1)
    assert test_images.shape == (297, 8, 8, 1)
    assert manifest["image_shape"] == [8, 8, 1]
    assert manifest["classes"] == list("0123456789")
    assert list(manifest["source_sha256"]) == ["digits.csv.gz"]
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.Generator(np.random.PCG64(0)).permutation(1797)
    images = np.concatenate([train_images, test_images])[..., 0]
    np.testing.assert_array_equal(images, np.round(bunch.images[order] * 255 / 16))
    np.testing.assert_array_equal(np.concatenate([train_labels, test_labels]), bunch.target[order])
    assert images.max() == 255


def test_the_seed_decides_the_split(tmp_path):
    sums = [prepare(digits(seed), None, tmp_path / str(i))["sha256"] for i, seed in enumerate((0, 0, 1))]
    assert sums[0] == sums[1]
    assert set(sums[0].values()).isdisjoint(sums[2].values())


def test_limits_after_the_split(tmp_path):
    prepare(digits(), None, tmp_path / "all")
    prepare(digits(train=100, test=20), None, tmp_path / "some")
    for whole, part, number in zip(
        load(tmp_path / "all")[:4], load(tmp_path / "some")[:4], (100, 100, 20, 20), strict=True
    ):
        np.testing.assert_array_equal(part, whole[:number])
    with pytest.raises(ValueError, match=r"dataset.max_train_images: 1501 is out of range 1..1500 \(digits\)"):
        prepare(digits(train=1501), None, tmp_path / "none")


# --- statistics and output ----------------------------------------------------------------------


def test_mean_and_std_are_exact():
    images = np.zeros((3, 2, 2, 2), np.uint8)
    images[0, ..., 0] = 255
    images[:, 0, :, 1] = 51
    mean, std = mean_and_std(images)
    assert mean == [1 / 3, 0.1]
    np.testing.assert_allclose(std, [np.sqrt(2) / 3, 0.1], rtol=1e-15)


def test_mean_and_std_over_several_chunks(monkeypatch):
    images = pixels(10)
    whole = mean_and_std(images)
    monkeypatch.setattr(prepare_data, "CHUNK", 3)
    assert mean_and_std(images) == whole


def test_output_folder_that_cannot_be_made(tmp_path, parquet):
    (tmp_path / "out").write_text("a file")
    code, lines, out_dir = run(tmp_path, stage_settings(), "--data-path", parquet[0])
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {out_dir}: ")
    assert out_dir.read_text() == "a file"


def test_full_disk_leaves_the_former_outputs(tmp_path, parquet):
    assert run(tmp_path, stage_settings(), "--data-path", parquet[0])[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    command = [sys.executable, "-m", "enas_core.prepare_data", "--config", "settings.json", "--out-dir", "out"]
    (tmp_path / "settings.json").write_text(to_json(stage_settings(train=15)))
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (40_000, 40_000))
    done = subprocess.run(
        [*command, "--data-path", parquet[0]], cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == ["error: out: File too large"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"experiment": "x"}', '{"experiment": "x", "dataset": {"name": "mnist"}}']
)
def test_bad_settings_file(tmp_path, capsys, text):
    (tmp_path / "bad.json").write_text(text)
    assert main(["--config", str(tmp_path / "bad.json"), "--out-dir", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {tmp_path}/bad.json: ")
    assert not (tmp_path / "out").exists()


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for option in ("--config", "--data-path", "--download-dir", "--out-dir", "--log-file", "manifest.json"):
        assert option in text
