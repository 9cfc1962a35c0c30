"""Folders of image files: what is listed, and every mistake in one line that names it, before any array is written."""

import os

import numpy as np
import pytest
from PIL import Image
from preparing import assert_refused, encoded, load, pixels, run, stage_settings

from enas_core.data.prepare import prepare


def own(**other):
    return stage_settings("mine", "folder", **{"train": None, "test": None, **other})


@pytest.fixture
def photos(tmp_path):
    """A folder with 12 training and 6 test images of 10x10 pixels in each of two classes."""
    for part, count in (("train", 12), ("test", 6)):
        for label, name in enumerate(("cat", "dog")):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for i, image in enumerate(pixels(count, seed=100 * label + count, size=10)):
                (folder / f"{i}.png").write_bytes(encoded(image))
    return tmp_path / "photos"


def pairs(images, labels):
    return sorted((int(label), image.tobytes()) for image, label in zip(images, labels, strict=True))


def test_a_folder(tmp_path, photos):
    manifest = prepare(own(), photos, tmp_path / "out")
    train_images, train_labels, test_images, test_labels, stored = load(tmp_path / "out")
    assert manifest == stored
    assert (manifest["dataset"], manifest["classes"]) == ("mine", ["cat", "dog"])
    assert manifest["images"] == {"train": 24, "test": 12, "valid": 0}
    assert manifest["image_shape"] == [10, 10, 3]
    for part, images, labels in (("train", train_images, train_labels), ("test", test_images, test_labels)):
        files = [
            (label, np.asarray(Image.open(path)).tobytes())
            for label, name in enumerate(("cat", "dog"))
            for path in (photos / part / name).iterdir()
        ]
        assert pairs(images, labels) == sorted(files)
    np.testing.assert_allclose(manifest["mean"], train_images.mean((0, 1, 2)) / 255)
    np.testing.assert_allclose(manifest["std"], train_images.std((0, 1, 2)) / 255)


def test_images_are_not_class_by_class(tmp_path, photos):
    prepare(own(), photos, tmp_path / "out")
    _, train_labels, _, test_labels, _ = load(tmp_path / "out")
    for labels in (train_labels, test_labels):
        for k in range(2, len(labels), 2):
            assert abs(int(labels[:k].sum()) - k / 2) <= 1
            assert abs(int(labels[-k:].sum()) - k / 2) <= 1


def test_equal_input_gives_equal_bytes_and_the_seed_another_order(tmp_path, photos):
    sums = [prepare(own(split_seed=seed), photos, tmp_path / f"out{i}")["sha256"] for i, seed in enumerate((0, 0, 1))]
    assert sums[0] == sums[1]
    assert sums[0].keys() == {f"{part}_{what}.npy" for part in ("train", "test") for what in ("images", "labels")}
    assert sums[0]["train_images.npy"] != sums[2]["train_images.npy"]


def test_the_first_images_are_a_fair_share(tmp_path, photos):
    manifest = prepare(own(train=10, test=4), photos, tmp_path / "out")
    assert manifest["images"] == {"train": 10, "test": 4, "valid": 0}
    assert np.bincount(load(tmp_path / "out")[1]).tolist() == [5, 5]
    assert_refused(tmp_path / "photos", own(train=25), photos, "dataset.max_train_images: 25 is out of range 1..24")
    assert_refused(tmp_path / "photos", own(train=1), photos, "dataset.max_train_images: 1 leaves no images of class")


def test_without_a_test_part_a_share_of_each_class_becomes_it(tmp_path, photos):
    (photos / "test").rename(photos / "other")
    manifest = prepare(own(split_test_share=0.25), photos, tmp_path / "out")
    train_images, train_labels, test_images, test_labels, _ = load(tmp_path / "out")
    assert manifest["images"] == {"train": 18, "test": 6, "valid": 0}
    assert np.bincount(test_labels).tolist() == [3, 3]
    together = pairs([*train_images, *test_images], [*train_labels, *test_labels])
    assert len(set(together)) == 24


@pytest.mark.parametrize("name", ["valid", "val"])
def test_a_part_to_be_held_out_comes_last(tmp_path, photos, name):
    (photos / "test").rename(photos / name)
    manifest = prepare(own(split_test_share=0.5), photos, tmp_path / "out")
    train_images, train_labels, _, _, _ = load(tmp_path / "out")
    assert manifest["images"] == {"train": 12 + 12, "test": 12, "valid": 12}
    files = [np.asarray(Image.open(path)).tobytes() for path in (photos / name).glob("*/*")]
    assert sorted(image.tobytes() for image in train_images[-12:]) == sorted(files)
    assert np.bincount(train_labels[-12:]).tolist() == [6, 6]


def test_what_is_not_an_image_is_left_aside(tmp_path, photos):
    (photos / "train/cat/.hidden.png").write_bytes(b"?")
    (photos / "train/cat/notes.txt").write_text("seen in May")
    (photos / "train/.cache").mkdir()
    (photos / "train/README").write_text("cats")
    below = photos / "train/cat/more"
    below.mkdir()
    (below / "X.PNG").write_bytes(encoded(pixels(1, seed=5, size=10)[0]))
    code, lines, out = run(tmp_path, own(), "--data-path", photos)
    assert code == 0
    assert len(load(out)[1]) == 25
    assert f"{photos}/train/cat: 1 files that are not called like images are left aside" in lines


def test_a_class_that_cannot_be_tested_is_told(tmp_path, photos):
    for path in (photos / "test/dog").iterdir():
        path.unlink()
    (photos / "test/dog").rmdir()
    code, lines, out = run(tmp_path, own(), "--data-path", photos)
    assert code == 0
    assert f"{photos}: the test part has no images of 1 of 2 classes, such as dog" in lines
    assert set(load(out)[3].tolist()) == {0}


def test_links_inside_are_followed(tmp_path, photos):
    (photos / "train/cat/link.png").symlink_to(photos / "train/cat/0.png")
    assert prepare(own(), photos, tmp_path / "out")["images"]["train"] == 25


def test_an_image_in_both_parts_is_told(tmp_path, photos):
    (photos / "test/cat/again.png").write_bytes((photos / "train/cat/3.png").read_bytes())
    code, lines, _ = run(tmp_path, own(), "--data-path", photos)
    assert code == 0
    assert f"1 test images are training images as well, such as {photos}/test/cat/again.png" in lines[0]


def moved(old, new):
    return lambda folder: (folder / old).rename(folder / new)


def link(place, target):
    return lambda folder: (folder / place).symlink_to(target)


def written(place, content):
    return lambda folder: (folder / place).write_bytes(content)


def made(place):
    return lambda folder: (folder / place).mkdir(parents=True)


def test_what_is_between_digits_tells_classes_apart(tmp_path, photos):
    for part in ("train", "test"):
        (photos / part / "cat").rename(photos / part / "1-1")
        (photos / part / "dog").rename(photos / part / "11")
    assert prepare(own(), photos, tmp_path / "out")["classes"] == ["1-1", "11"]


MISTAKES = {
    "no train": (moved("train", "tra1n"), ["photos: needs a folder train", "is test, tra1n"]),
    "a file for a folder": (
        lambda f: ((f / "test").rename(f / "x"), (f / "test").write_text("")),
        ["not a folder"],
    ),
    "two held-out parts": (lambda f: (made("val/cat")(f), made("valid/cat")(f)), ["has both valid and val"]),
    "an empty class": (made("train/fox"), ["train/fox: an empty class"]),
    "an empty class of the test part": (made("test/fox"), ["test/fox: an empty class"]),
    "a class to test only": (moved("train/dog", "dog"), ["class 'dog' is in the part test only"]),
    "one class": (lambda f: (moved("train/dog", "a")(f), moved("test/dog", "b")(f)), ["needs two classes or more"]),
    "a name of other bytes": (
        lambda f: os.rename(f / "train/cat", os.fsencode(f / "train") + b"/caf\xe9"),
        [r"'caf\udce9': control characters, or bytes that are no UTF-8, in the name of a class"],
    ),
    "a name of two lines": (moved("train/cat", "train/c\nat"), [r"'c\nat': control characters"]),
    "case": (moved("test/cat", "test/Cat"), ["'Cat' and 'cat': two spellings of one class"]),
    "spaces": (
        lambda f: (moved("train/cat", "train/sea_lion")(f), moved("test/cat", "test/sea lion")(f)),
        ["'sea lion' and 'sea_lion': two spellings of one class"],
    ),
    "letters": (
        lambda f: (moved("train/cat", "train/k\u00e4fer")(f), moved("test/cat", "test/ka\u0308fer")(f)),
        ["two spellings of one class"],
    ),
    "an image in no class": (written("train/0.png", b"?"), ["train/0.png: an image in no class"]),
    "a link out": (link("train/cat/x.png", "/etc/hostname"), ["train/cat/x.png: a symbolic link out of the folder"]),
    "a class that is a link out": (link("train/fox", "/tmp"), ["train/fox: a symbolic link out of the folder"]),
    "a link to nowhere": (link("train/cat/x.png", "nothing"), ["train/cat/x.png: a symbolic link that leads nowhere"]),
    "a link in a circle": (link("train/cat/x", ".."), ["train/cat/x: a symbolic link to a folder"]),
    "a class that is a link": (link("train/fox", "cat"), ["train/fox: a symbolic link to a folder"]),
    "a pipe": (lambda f: os.mkfifo(f / "train/cat/x.png"), ["train/cat/x.png: not a regular file"]),
    "an empty file": (written("train/cat/x.png", b""), ["train/cat/x.png: empty file"]),
    "no image": (written("test/cat/x.png", b"text"), ["test/cat/x.png: not a readable image: unknown format"]),
    "a truncated image": (
        lambda f: written("train/cat/x.png", (f / "train/cat/0.png").read_bytes()[:-60])(f),
        ["train/cat/x.png: not a readable image: "],
    ),
    "another size": (
        written("train/dog/x.png", encoded(pixels(1, size=11)[0])),
        ["train/dog/x.png: is 11x11, expected 10x10; dataset.image_size says"],
    ),
}


@pytest.mark.parametrize(("change", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(tmp_path, photos, change, words):
    change(photos)
    assert_refused(tmp_path, own(), photos, *words)


def test_not_square(tmp_path, photos):
    (photos / "train/cat/0.png").write_bytes(encoded(pixels(1, size=10)[0, :7]))
    assert_refused(tmp_path, own(), photos, "train/cat/0.png: is 10x7, not square; dataset.image_size says")


def test_one_image_of_a_class_cannot_be_divided(tmp_path, photos):
    (photos / "test").rename(photos / "other")
    (photos / "train/fox").mkdir()
    (photos / "train/fox/0.png").write_bytes(encoded(pixels(1, size=10)[0]))
    assert_refused(tmp_path, own(), photos, "class 'fox' has one image; without a test part two are needed")


def test_no_folder(tmp_path):
    assert_refused(tmp_path, own(), tmp_path / "nowhere", tmp_path / "nowhere", "no such folder")
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path, own(), tmp_path / "empty", "needs a folder train with one folder for each class; there is")
    code, lines, _ = run(tmp_path, own())
    assert (code, lines) == (2, ["error: mine from a folder needs --data-path"])
