"""CIFAR in its original files: verified, unpickled with care, downloaded when they are not there."""

import functools
import hashlib
import http.server
import io
import os
import pickle
import struct
import tarfile
import threading
from typing import ClassVar

import numpy as np
import pytest
from preparing import assert_refused, load, pixels, run, sha256, stage_settings

from enas_core.data.cifar import CifarFiles, _ArraysOnly, torchvision_files
from enas_core.data.prepare import prepare


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
    monkeypatch.setattr("enas_core.data.prepare.torchvision_files", lambda name: files)
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
    monkeypatch.setattr("enas_core.data.prepare.torchvision_files", lambda name: files)
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
    monkeypatch.setattr("enas_core.data.prepare.torchvision_files", lambda name: files)
    assert_refused(tmp_path, ORIGINAL, tmp_path, "data_batch_1", words)


def test_missing_cifar_files(tmp_path, cifar, monkeypatch):
    folder, files, _, _ = cifar
    monkeypatch.setattr("enas_core.data.prepare.torchvision_files", lambda name: files)
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
    monkeypatch.setattr("enas_core.data.prepare.torchvision_files", lambda name: files)
    code, lines, out_dir = run(tmp_path, ORIGINAL, "--download-dir", tmp_path / "downloads")
    errors = [line for line in lines if line.startswith("error: ")]
    assert code == 2
    assert len(errors) == 1
    assert f"{files.url}: download failed: " in errors[0]
    assert not out_dir.exists()
    assert [path for path in (tmp_path / "downloads").rglob("*") if path.is_file()] == []
