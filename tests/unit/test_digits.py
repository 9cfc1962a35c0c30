"""scikit-learn's digits."""

import numpy as np
import pytest
from preparing import load, stage_settings

from enas_core.data.prepare import prepare


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
