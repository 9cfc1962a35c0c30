"""Reading what prepare_data has written."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from enas_core.data import prepared
from enas_core.data.arrays import file_sha256
from enas_core.data.batches import plain_batch
from enas_core.data.prepared import fit_on, load_prepared

CPU = torch.device("cpu")


def write_prepared(folder, **changes):
    """A prepared dataset of 4 + 2 images; `changes` of the manifest, or, by name of the file, of an array."""
    arrays = {
        "train_images": np.arange(4 * 48, dtype=np.uint8).reshape(4, 4, 4, 3),
        "train_labels": np.array([0, 1, 1, 0]),
        "test_images": np.arange(2 * 48, dtype=np.uint8).reshape(2, 4, 4, 3),
        "test_labels": np.array([1, 0]),
    }
    arrays |= {name: value for name, value in changes.items() if name in arrays}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    manifest = {
        "format": 1,
        "dataset": "cifar10",
        "classes": ["cat", "dog"],
        "image_shape": [4, 4, 3],
        "images": {"train": len(arrays["train_labels"]), "test": 2},
        "mean": [0.5, 0.25, 0.125],
        "std": [0.5, 0.25, 0.125],
        "sha256": {f"{n}.npy": hashlib.sha256((folder / f"{n}.npy").read_bytes()).hexdigest() for n in arrays},
    }
    manifest |= {name: value for name, value in changes.items() if name not in arrays}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_load(tmp_path):
    write_prepared(tmp_path)
    data = load_prepared(tmp_path, CPU)
    assert (len(data.train), len(data.test)) == (4, 2)
    manifest = data.manifest
    assert (manifest.image_size, manifest.in_channels, manifest.num_classes) == (4, 3, 2)
    images, labels = plain_batch(data.train, slice(0, 1))
    pixels = np.arange(48).reshape(4, 4, 3) / 255
    expected = (pixels - [0.5, 0.25, 0.125]) / [0.5, 0.25, 0.125]
    np.testing.assert_allclose(images[0].permute(1, 2, 0), expected, atol=1e-5)
    assert labels.tolist() == [0]


def test_fingerprint_is_that_of_the_arrays(tmp_path):
    write_prepared(tmp_path)
    first = load_prepared(tmp_path, CPU).manifest.fingerprint
    write_prepared(tmp_path, mean=[0.0, 0.0, 0.0])
    assert load_prepared(tmp_path, CPU).manifest.fingerprint == first
    write_prepared(tmp_path, test_labels=np.array([0, 1]))
    assert load_prepared(tmp_path, CPU).manifest.fingerprint != first


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"format": 2}, "manifest.json: not a manifest of this version's prepare_data: format: "),
        ({"classes": 3}, "manifest.json: not a manifest of this version's prepare_data: classes: "),
        ({"std": ["a"]}, "manifest.json: not a manifest of this version's prepare_data: std.0: "),
        ({"sha256": {}}, "train_images.npy: its checksum is not the one in manifest.json; run prepare_data again"),
        ({"image_shape": [5, 5, 3]}, "train_images.npy: not an array of prepare_data: uint8 of shape (4, 4, 4, 3)"),
        ({"test_labels": np.array([0.0, 1.0])}, "test_labels.npy: not an array of prepare_data: float64 of shape (2,)"),
        ({"test_labels": np.array([0, 2])}, "test_labels.npy: not an array of prepare_data: labels out of range 0..1"),
        ({"test_labels": np.array([0])}, "test_images.npy and test_labels.npy are of different length"),
        ({"images": {"train": 5, "test": 2}}, "manifest.json counts 5 train images, there are 4"),
        ({"train_images": np.array([{}])}, "train_images.npy: not an array of prepare_data: "),
    ],
)
def test_wrong_files_are_one_line(changes, expected, tmp_path):
    write_prepared(tmp_path, **changes)
    with pytest.raises(ValueError, match=str(tmp_path)) as caught:
        load_prepared(tmp_path, CPU)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["manifest.json", "train_images.npy", "test_labels.npy"])
def test_missing_and_damaged_files_are_one_line(name, tmp_path):
    write_prepared(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-1])
    with pytest.raises(ValueError, match=rf"^{tmp_path / name}: ") as caught:
        load_prepared(tmp_path, CPU)
    assert len(str(caught.value).splitlines()) == 1
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=rf"^{tmp_path / name}: No such file or directory; run prepare_data$"):
        load_prepared(tmp_path, CPU)


# --- checksums, and where the images are --------------------------------------------------------


def counted(monkeypatch):
    """The files whose checksums are read."""
    read = []

    def reading(path):
        read.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr(prepared, "file_sha256", reading)
    return read


def test_checksums_of_large_files_are_read_once(tmp_path, monkeypatch):
    write_prepared(tmp_path)
    read = counted(monkeypatch)
    monkeypatch.setattr(prepared, "LARGE", (tmp_path / "train_images.npy").stat().st_size)
    load_prepared(tmp_path, CPU)
    assert len(read) == 4
    read.clear()
    load_prepared(tmp_path, CPU)
    assert sorted(read) == ["test_images.npy", "test_labels.npy", "train_labels.npy"]


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_large_file_that_has_changed_is_read_again(tmp_path, monkeypatch, keep_time):
    write_prepared(tmp_path)
    monkeypatch.setattr(prepared, "LARGE", 1)
    load_prepared(tmp_path, CPU)
    path = tmp_path / "train_images.npy"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if keep_time:  # another file in its place, as `cp --preserve` would put it there
        (tmp_path / "new").write_bytes(content)
        (tmp_path / "new").replace(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(ValueError, match="its checksum is not the one in manifest"):
        load_prepared(tmp_path, CPU)


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"train_images.npy": 3}', b"\xff"])
def test_damaged_notes_of_what_was_verified_verify_again(tmp_path, monkeypatch, content):
    write_prepared(tmp_path)
    monkeypatch.setattr(prepared, "LARGE", 1)
    (tmp_path / prepared.VERIFIED).write_bytes(content)
    read = counted(monkeypatch)
    load_prepared(tmp_path, CPU)
    assert len(read) == 4


def test_images_on_a_cpu_are_the_files_themselves(tmp_path):
    write_prepared(tmp_path)
    for where, streamed in (("auto", False), ("always", False), ("never", True)):
        data = load_prepared(tmp_path, CPU, where)
        assert data.train.streamed == data.test.streamed == streamed
        assert str(tmp_path / "train_images.npy") in Path("/proc/self/maps").read_text()
        images, _ = plain_batch(data.train, torch.tensor([2, 0]))
        assert torch.equal(images, plain_batch(load_prepared(tmp_path, CPU).train, torch.tensor([2, 0]))[0])


def test_what_does_not_fit_is_streamed(tmp_path, monkeypatch):
    write_prepared(tmp_path)
    sizes = []
    monkeypatch.setattr(prepared, "fit_on", lambda device, size: sizes.append(size))
    assert load_prepared(tmp_path, CPU).train.streamed
    assert sizes == [6 * 48]
    assert not load_prepared(tmp_path, CPU, "always").train.streamed


def test_half_of_the_memory_is_for_images(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 3000))
    assert [fit_on(torch.device("cuda"), size) for size in (500, 501)] == [True, False]
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert [fit_on(CPU, size) for size in (total // 2 - 1, total // 2 + 1)] == [True, False]


def test_training_images_that_are_stored_larger(tmp_path):
    larger = np.arange(4 * 108, dtype=np.uint16).astype(np.uint8).reshape(4, 6, 6, 3)
    write_prepared(tmp_path, train_images=larger, stored_size=6)
    data = load_prepared(tmp_path, CPU)
    assert (data.train.size, data.train.margin, data.test.size, data.test.margin) == (4, 1, 4, 0)
    write_prepared(tmp_path, stored_size=3)
    with pytest.raises(ValueError, match="stored_size: 3 is below the height 4"):
        load_prepared(tmp_path, CPU)
