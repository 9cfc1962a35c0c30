"""Batches of prepared images, against a slow reference that works on one image at a time."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core.data.batches import EpochPlan, equal_batches, plain_batch, plan_epoch, training_batch
from enas_core.data.prepared import Split
from enas_core.settings.dataset import Augmentation
from enas_core.training.randomness import stream_seed


def make_split(count=12, size=6, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Split(
        torch.randint(256, (count, size, size, channels), dtype=torch.uint8, generator=generator),
        torch.randint(10, (count,), generator=generator),
        torch.rand(channels, generator=generator) / 100,
        torch.randn(channels, generator=generator),
    )


def plan_of(split, augmentation, seed, epoch):
    """The draws of an epoch as trainings make them."""
    return plan_epoch(split, augmentation, stream_seed(seed, "images", epoch))


def normalised(split, image):
    """One image [size, size, channels], normalised in float64."""
    return split.images[image].double().numpy() * split.scale.double().numpy() + split.shift.double().numpy()


def slow_image(split, plan, augmentation, position):
    """One augmented image [channels, size, size]: normalise, pad, crop, flip, cut out."""
    pixels = normalised(split, int(plan.order[position]))
    size, padding = len(pixels), augmentation.crop_padding
    pixels = np.pad(pixels, ((padding, padding), (padding, padding), (0, 0)))
    top, left = plan.crop[position].tolist()
    pixels = pixels[top : top + size, left : left + size]
    if augmentation.flip and plan.flip[position]:
        pixels = pixels[:, ::-1]
    pixels = pixels.copy()
    if augmentation.cutout:
        y, x = (centre - augmentation.cutout // 2 for centre in plan.cutout[position].tolist())
        pixels[max(y, 0) : max(y + augmentation.cutout, 0), max(x, 0) : max(x + augmentation.cutout, 0)] = 0
    return pixels.transpose(2, 0, 1)


@given(
    st.integers(0, 8),
    st.booleans(),
    st.integers(0, 6),
    st.integers(1, 7),
    st.sampled_from([1, 3]),
    st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_training_batch_is_the_slow_references(padding, flip, cutout, size, channels, seed):
    split = make_split(size=size, channels=channels, seed=seed)
    augmentation = Augmentation(crop_padding=padding, flip=flip, cutout=min(cutout, size))
    plan = plan_of(split, augmentation, seed, 3)
    images, labels = training_batch(split, plan, augmentation, 5, 10)
    assert images.shape == (5, channels, size, size)
    expected = np.stack([slow_image(split, plan, augmentation, position) for position in range(5, 10)])
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(labels, split.labels[plan.order[5:10]])


def test_padding_is_zero_after_normalisation():
    split = make_split(count=1)
    plan = EpochPlan(
        torch.zeros(1, dtype=torch.int64), torch.tensor([[0, 8]]), torch.tensor([False]), torch.zeros(1, 2)
    )
    images, _ = training_batch(split, plan, Augmentation(crop_padding=4, flip=False), 0, 1)
    np.testing.assert_allclose(images[0, :, 4:, :2], normalised(split, 0)[:2, 4:].transpose(2, 0, 1), rtol=1e-5)
    assert images[0, :, :4].abs().max() == 0
    assert images[0, :, :, 2:].abs().max() == 0


def test_without_augmentation_an_epoch_is_a_permutation_of_the_plain_images():
    split = make_split()
    augmentation = Augmentation(crop_padding=0, flip=False)
    plan = plan_of(split, augmentation, 0, 0)
    images, labels = training_batch(split, plan, augmentation, 0, len(split))
    plain, plain_labels = plain_batch(split, plan.order)
    assert torch.equal(images, plain)
    assert torch.equal(labels, plain_labels)
    assert sorted(plan.order.tolist()) == list(range(len(split)))


def test_a_batch_depends_on_its_position_alone():
    split, augmentation = make_split(), Augmentation(cutout=3)
    plan = plan_of(split, augmentation, 1, 2)
    whole, _ = training_batch(split, plan, augmentation, 0, 12)
    part, _ = training_batch(split, plan, augmentation, 7, 100)
    assert torch.equal(whole[7:], part)


def test_batches_are_channels_last():
    split, augmentation = make_split(), Augmentation()
    plan = plan_of(split, augmentation, 1, 2)
    for images in (training_batch(split, plan, augmentation, 0, 4)[0], plain_batch(split, slice(4))[0]):
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_plain_batch_is_normalised():
    split = make_split()
    images, labels = plain_batch(split, slice(2, 4))
    expected = np.stack([normalised(split, image).transpose(2, 0, 1) for image in (2, 3)])
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(labels, split.labels[2:4])


def test_part_of_a_split():
    split = make_split()
    part = split.part(3, 5)
    assert len(part) == 2
    assert torch.equal(part.images, split.images[3:5])
    assert torch.equal(part.labels, split.labels[3:5])


# --- an epoch's draws ---------------------------------------------------------------------------


def test_draws_are_the_same_for_the_same_seed_and_epoch_and_others_otherwise():
    split, augmentation = make_split(count=100), Augmentation(cutout=2)
    first = plan_of(split, augmentation, 5, 7)
    torch.manual_seed(99)  # the global generator has no part in it
    assert all(map(torch.equal, first, plan_of(split, augmentation, 5, 7)))
    for seed, epoch in ((6, 7), (5, 8), (7, 5)):
        assert not any(map(torch.equal, first, plan_of(split, augmentation, seed, epoch)))


def test_draws_cover_their_range():
    split = make_split(count=2_000, size=8)
    plan = plan_of(split, Augmentation(crop_padding=2, cutout=3), 0, 0)
    assert sorted(plan.order.tolist()) == list(range(2_000))
    for draw, values in ((plan.crop, 5), (plan.cutout, 8)):
        for column in draw.T:
            counts = torch.bincount(column, minlength=values)
            assert len(counts) == values
            assert (counts - 2_000 / values).abs().max() < 5 * (2_000 / values) ** 0.5
    assert abs(int(plan.flip.sum()) - 1_000) < 5 * 500**0.5


# --- equal batches ------------------------------------------------------------------------------


@given(st.integers(1, 20_000), st.integers(1, 5_000))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_equal_batches(count, batch_size):
    batches = equal_batches(count, batch_size)
    sizes = [rows.stop - rows.start for rows in batches]
    assert [batches[0].start, *(rows.stop for rows in batches)] == [*(rows.start for rows in batches), count]
    assert len(batches) == -(-count // batch_size)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


def test_validation_batches_of_cifar():
    assert {rows.stop - rows.start for rows in equal_batches(5_000, 160)} == {156, 157}
