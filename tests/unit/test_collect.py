"""From chunks of images to whole arrays, and their statistics."""

import numpy as np
import pytest
from preparing import assert_refused, encoded, load, pixels, stage_settings, write_parquet

from enas_core.data.collect import mean_and_std
from enas_core.data.prepare import prepare
from enas_core.settings.dataset import DATASETS


def test_the_first_images_are_taken(tmp_path, parquet):
    folder, train, test, _ = parquet
    manifest = prepare(stage_settings(train=12, test=3), folder, tmp_path / "out")
    assert manifest["images"] == {"train": 12, "test": 3}
    train_images, _, test_images, _, _ = load(tmp_path / "out")
    np.testing.assert_array_equal(train_images, train[:12])
    np.testing.assert_array_equal(test_images, test[:3])
    np.testing.assert_allclose(manifest["mean"], train[:12].mean((0, 1, 2)) / 255)


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
    monkeypatch.setattr("enas_core.data.collect.CHUNK", 3)
    assert mean_and_std(images) == whole
