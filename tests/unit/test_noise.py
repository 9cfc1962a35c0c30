"""Noise of the images: what it does to pixels, that each copy has its own, and that it depends on its seed alone."""

import numpy as np
import pytest

from enas_core.data.noise import add_noise
from enas_core.settings.dataset import Noise

GENERATOR = np.random.Generator(np.random.PCG64(0))
TRAIN = GENERATOR.integers(256, size=(30, 8, 8, 1), dtype=np.uint8)
TEST = GENERATOR.integers(256, size=(2_500, 8, 8, 1), dtype=np.uint8)


def arrays(train=TRAIN, test=TEST):
    """What is collected from a source, labels being the numbers of the images."""
    result = {"train_images.npy": train.copy(), "test_images.npy": test.copy()}
    return result | {"train_labels.npy": np.arange(len(train)), "test_labels.npy": np.arange(len(test))}


def test_without_noise_only_contrast_and_brightness_change():
    found = add_noise(arrays(), Noise(contrast=0.5, brightness=0.25, deviation=0.0))
    expected = np.rint((0.5 * TRAIN / 255 + 0.25) * 255)
    np.testing.assert_array_equal(found["train_images.npy"], expected)


def test_pixels_are_cut_at_black_and_white():
    found = add_noise(arrays(), Noise(brightness=1.0, deviation=0.0))
    assert (found["train_images.npy"] == 255).all()
    found = add_noise(arrays(), Noise(brightness=-1.0, deviation=0.0))
    assert (found["train_images.npy"] == 0).all()


def test_noise_has_its_deviation():
    grey = np.full((1_000, 8, 8, 1), 128, np.uint8)
    found = add_noise(arrays(grey), Noise(deviation=0.1))["train_images.npy"] / 255
    assert found.mean() == pytest.approx(128 / 255, abs=0.002)
    assert found.std() == pytest.approx(0.1, rel=0.02)


def test_each_copy_of_a_test_image_has_its_own_noise():
    found = add_noise(arrays(), Noise(deviation=0.1, test_copies=3))
    assert found["test_labels.npy"].tolist() == np.arange(len(TEST)).repeat(3).tolist()
    images = found["test_images.npy"].reshape(len(TEST), 3, -1)
    assert (images[:, 0] != images[:, 1]).any(1).all()
    assert len(found["train_images.npy"]) == len(TRAIN)


def test_it_depends_on_its_seed_alone():
    one, other = (add_noise(arrays(), Noise(deviation=0.1)) for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    changed = add_noise(arrays(), Noise(deviation=0.1, seed=1))
    assert (changed["train_images.npy"] != one["train_images.npy"]).any()


def test_more_test_images_leave_the_training_images_and_the_first_test_images_alone():
    short, long = (add_noise(arrays(test=test), Noise(deviation=0.1)) for test in (TEST[:1_500], TEST))
    np.testing.assert_array_equal(short["train_images.npy"], long["train_images.npy"])
    np.testing.assert_array_equal(short["test_images.npy"], long["test_images.npy"][:1_500])
