"""Images of the user's own as they are prepared: size, colours, orientation, what cannot be read; and memory."""

import functools
import io
import resource
import shutil
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from photographs import CLASSES, write_photographs
from PIL import Image
from preparing import assert_refused, encoded, load, pixels, run, stage_settings

from enas_core.data import own as own_images
from enas_core.data.arrays import ImageFile
from enas_core.data.prepare import prepare
from enas_core.files.pictures import Form, formed
from enas_core.settings.stages import to_json


def own(**other):
    return stage_settings("mine", "folder", **{"train": None, "test": None, "image_size": 16, **other})


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Photographs of every kind, 64 to train on and 14 to test; not to be changed."""
    folder = tmp_path_factory.mktemp("generated")
    write_photographs(folder, "train", {"checked": 12, "level": 18, "upright": 34})
    write_photographs(folder, "test", {"checked": 4, "level": 4, "upright": 6})
    return folder


@pytest.fixture
def photos(generated, tmp_path):
    """A copy of them, to be changed."""
    return shutil.copytree(generated, tmp_path / "photos")


def file_of(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, options.pop("format", "PNG"), **options)
    return buffer.getvalue()


def grey(content, channels=1):
    """What is made of an image of 4x4 pixels."""
    return formed("x", content, Form(channels, 4, 4))[..., 0]


def test_every_kind_of_photograph_is_brought_to_one_size(tmp_path, photos):
    manifest = prepare(own(), photos, tmp_path / "out")
    train_images, train_labels, test_images, _, _ = load(tmp_path / "out")
    assert train_images.shape == (64, 16, 16, 3)
    assert test_images.shape == (14, 16, 16, 3)
    assert manifest["classes"] == list(CLASSES)
    assert np.bincount(train_labels).tolist() == [12, 18, 34]
    assert manifest["stored_size"] is None


def test_training_images_are_kept_larger(tmp_path, photos):
    manifest = prepare(own(resize_to=20), photos, tmp_path / "large")
    prepare(own(image_size=20), photos, tmp_path / "all")
    train, _, test, _, _ = load(tmp_path / "large")
    whole_train, _, whole_test, _, _ = load(tmp_path / "all")
    assert (manifest["image_shape"], manifest["stored_size"]) == ([16, 16, 3], 20)
    np.testing.assert_array_equal(train, whole_train)
    np.testing.assert_array_equal(test, whole_test[:, 2:18, 2:18])


def test_grey_images(tmp_path, photos):
    manifest = prepare(own(colours="grey"), photos, tmp_path / "out")
    assert load(tmp_path / "out")[0].shape == (64, 16, 16, 1)
    assert len(manifest["mean"]) == 1


def test_the_number_of_cores_changes_nothing(tmp_path, photos, monkeypatch):
    sums = []
    for cores in (1, 5):
        monkeypatch.setattr(own_images, "cores", lambda cores=cores: cores)
        sums.append(prepare(own(), photos, tmp_path / str(cores))["sha256"])
    assert sums[0] == sums[1]


def test_all_cores_decode(tmp_path, photos, monkeypatch):
    """Two threads meet in the middle of two images, which one thread alone never would."""
    meeting = threading.Barrier(2, timeout=60)
    monkeypatch.setattr(own_images, "cores", lambda: 2)
    first = iter([True, True])

    def waiting(*arguments):
        if next(first, False):
            meeting.wait()
        return formed(*arguments)

    monkeypatch.setattr(own_images, "formed", waiting)
    prepare(own(), photos, tmp_path / "out")


# --- form -----------------------------------------------------------------------------------------------------------


def test_the_middle_of_the_longer_side_is_taken():
    image = np.zeros((8, 20, 3), np.uint8)
    image[:, 6:14] = 200
    assert (formed("x", encoded(image), Form(3, 8, 8)) == 200).all()
    for turned in (image, image.transpose(1, 0, 2)):  # as resized first and cut then: pixels mix over the cut's edge
        found = formed("x", encoded(turned), Form(3, 4, 4))
        assert (found[1:3, 1:3] == 200).all()
        assert found.min() > 160
        np.testing.assert_array_equal(found, found[::-1, ::-1])


def test_shrinking_averages():
    board = np.kron(np.indices((32, 32)).sum(0) % 2, np.ones((4, 4))).astype(np.uint8) * 255
    assert np.abs(formed("x", encoded(board), Form(1, 8, 8)).astype(int) - 127).max() < 3


def test_enlarging_interpolates():
    found = grey(encoded(np.array([[0, 240]] * 2, np.uint8)))
    assert found[0].tolist() == [0, 60, 180, 240]


def test_an_image_of_the_right_size_is_as_it_is():
    image = pixels(1, size=8)[0]
    np.testing.assert_array_equal(formed("x", encoded(image), Form(3, 8, 8)), image)
    np.testing.assert_array_equal(formed("x", encoded(image), Form(3, 8, 6)), image[1:7, 1:7])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(orientation):
    upright = np.arange(16, dtype=np.uint8).reshape(4, 4) * 15
    # What the camera has stored, of which a viewer makes the upright image.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(grey(file_of(image, exif=exif)), upright)


# --- colours ----------------------------------------------------------------------------------------------------------


def test_grey_becomes_rgb_and_colours_grey():
    image = pixels(1, size=4)[0]
    assert (formed("x", encoded(image[..., 0]), Form(3, 4, 4)) == image[..., :1]).all()
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey(encoded(image)) - luma).max() <= 1


def test_one_bit():
    board = np.indices((4, 4)).sum(0) % 2 == 0
    assert (grey(file_of(Image.fromarray(board))) == 255 * board).all()


def test_palette():
    image = Image.fromarray(np.array([[0, 1]] * 2, np.uint8).repeat(2, 0).repeat(2, 1)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert formed("x", file_of(image), Form(3, 4, 4))[0, ::3].tolist() == [[10, 20, 30], [40, 50, 60]]
    assert formed("x", file_of(image, transparency=0), Form(3, 4, 4))[0, ::3].tolist() == [[255] * 3, [40, 50, 60]]


def test_transparent_parts_are_white():
    image = np.full((4, 4, 4), 100, np.uint8)
    image[:2, :, 3], image[2:, :, 3] = 0, 255
    assert formed("x", encoded(image), Form(3, 4, 4))[::3, 0].tolist() == [[255] * 3, [100] * 3]
    half = np.full((4, 4, 2), (100, 128), np.uint8)
    assert (np.abs(grey(encoded(half)).astype(int) - 177) <= 1).all()


def test_print_colours():
    cyan = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    found = formed("x", file_of(cyan, format="JPEG", quality=100), Form(3, 4, 4))
    assert np.abs(found.astype(int) - [0, 255, 255]).max() <= 3


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_as_the_eye_tells_them(channels):
    """CIELAB: half as light as white, without a colour."""
    found = grey(file_of(Image.new("LAB", (4, 4), (128, 128, 128)), format="TIFF"), channels)
    assert np.abs(found.astype(int) - 119).max() <= 2


def test_a_conversion_that_fails_is_the_file_s_fault(tmp_path, photos, monkeypatch):
    def fails(*_):
        raise ValueError("conversion not supported")

    monkeypatch.setattr("enas_core.files.pictures.in_mode", fails)
    assert_refused(tmp_path, own(), photos, "train/checked/0000.", "not a readable image: conversion not supported")


def test_of_16_bits_the_upper_ones_are_kept():
    image = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4111
    assert (grey(encoded(image)) == image // 256).all()
    assert (grey(file_of(Image.fromarray(image.astype(np.int32)), format="TIFF")) == image // 256).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (file_of(Image.fromarray(np.ones((4, 4), np.float32)), format="TIFF"), "an image of floating-point numbers"),
        (
            file_of(Image.fromarray(np.full((4, 4), 70_000, np.int32)), format="TIFF"),
            "an image of numbers from 70000 to 70000; 8 or 16 bits are needed",
        ),
        (
            file_of(Image.fromarray(np.full((4, 4), -1, np.int32)), format="TIFF"),
            "an image of numbers from -1 to -1; 8 or 16 bits are needed",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused(tmp_path, photos, content, words):
    (photos / "train/level/x.tif").write_bytes(content)
    assert_refused(tmp_path, own(), photos, f"train/level/x.tif: {words}")


# --- what cannot be read ----------------------------------------------------------------------------------------------


def claiming(width):
    """A PNG file of a few bytes that claims to be so large."""
    content = bytearray(encoded(pixels(1, size=8)[0]))
    content[16:24] = struct.pack(">II", width, width)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("width", "words"),
    [
        (11_000, "an image of 11000x11000 pixels; at most 100000000 are decoded"),  # Pillow warns
        (100_000, "not a readable image: Image size"),  # Pillow refuses
    ],
)
def test_an_image_that_claims_to_be_huge_is_not_decoded(tmp_path, photos, width, words):
    (photos / "test/level/x.png").write_bytes(claiming(width))
    assert_refused(tmp_path, own(), photos, f"test/level/x.png: {words}")


def spoil(photos):
    """Three files that cannot be read, and their names."""
    names = ["train/checked/0001.jpg", "train/level/x.png", "test/upright/y.gif"]
    (photos / names[0]).write_bytes(encoded(pixels(1, size=60)[0], "JPEG")[:900])
    (photos / names[1]).write_bytes(b"")
    (photos / names[2]).write_bytes(claiming(11_000))
    return names


def test_unreadable_images_are_skipped_and_listed(tmp_path, photos):
    for path in photos.glob("train/checked/0001.*"):
        path.unlink()
    prepare(own(), photos, tmp_path / "whole")
    names = spoil(photos)
    code, lines, out = run(tmp_path, own(skip_unreadable=True), "--data-path", photos)
    assert code == 0
    *arrays, manifest = load(out)
    for found, expected in zip(arrays, load(tmp_path / "whole"), strict=False):
        np.testing.assert_array_equal(found, expected)
    told = [line.removeprefix("skipped: ") for line in lines if line.startswith("skipped: ")]
    assert [line.removeprefix(f"{photos}/") for line in told] == manifest["skipped"]
    assert [line.split(": ")[0] for line in told] == [f"{photos}/{name}" for name in names]


def test_without_it_the_first_one_ends_the_work(tmp_path, photos):
    names = spoil(photos)
    assert_refused(tmp_path, own(), photos, f"{photos}/{names[0]}: not a readable image")


def test_a_class_that_cannot_be_read_at_all(tmp_path, photos):
    for path in photos.glob("t*/checked/*"):
        path.write_bytes(b"?")
    code, lines, out = run(tmp_path, own(skip_unreadable=True), "--data-path", photos)
    assert code == 2
    assert lines[-1] == f"error: {photos}, without what cannot be read: class 'checked' has no training images"
    assert not out.exists()


def test_an_unreadable_row_is_skipped(tmp_path, parquet):
    from preparing import write_parquet

    folder, train, _, labels = parquet
    write_parquet(folder / "train.parquet", [b"?", *map(encoded, train), None], [0, *labels, 0])
    settings = stage_settings("mine", "parquet", None, None, skip_unreadable=True)
    manifest = prepare(settings, folder, tmp_path / "out")
    assert manifest["images"]["train"] == 20
    assert manifest["skipped"] == [
        "train.parquet: row 0: not a readable image: unknown format",
        "train.parquet: row 21: image is null",
    ]


# --- files ------------------------------------------------------------------------------------------------------------


def test_images_are_written_in_any_order(tmp_path):
    images = pixels(5, size=7)
    with ImageFile(tmp_path / "a.npy", images.shape) as file:
        for i in (3, 0, 4, 1, 2):
            file.put(i, images[i])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), images)


def test_errors_leave_the_former_outputs(tmp_path, photos):
    assert run(tmp_path, own(), "--data-path", photos)[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    spoil(photos)
    assert run(tmp_path, own(), "--data-path", photos)[0] == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_full_disk_is_one_line_before_anything_is_decoded(tmp_path, photos):
    (tmp_path / "settings.json").write_text(to_json(own()))
    command = [sys.executable, "-m", "enas_core.prepare_data", "--config", "settings.json", "--out-dir", "out"]
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (40_000, 40_000))
    done = subprocess.run(
        [*command, "--data-path", photos], cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "error: out: File too large\n"
    assert not (tmp_path / "out").exists()
