"""Batches of prepared images, against a slow reference that works on one image at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core.data.batches import (
    EpochPlan,
    equal_batches,
    plain_batch,
    plain_batches,
    plan_epoch,
    training_batch,
    training_batches,
)
from enas_core.data.prepared import AHEAD, Split, ahead
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


def drawn(plan):
    """The draws that the settings ask for."""
    return [draw for draw in plan if draw is not None]


def test_draws_are_the_same_for_the_same_seed_and_epoch_and_others_otherwise():
    split, augmentation = make_split(count=100), Augmentation(crop_padding=2, cutout=2)
    first = plan_of(split, augmentation, 5, 7)
    torch.manual_seed(99)  # the global generator has no part in it
    assert all(map(torch.equal, drawn(first), drawn(plan_of(split, augmentation, 5, 7))))
    for seed, epoch in ((6, 7), (5, 8), (7, 5)):
        assert not any(map(torch.equal, drawn(first), drawn(plan_of(split, augmentation, seed, epoch))))


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


# --- images that are stored larger --------------------------------------------------------------


def stored_larger(split, size):
    return replace(split, shown_size=size)


def test_of_larger_images_the_middle_is_evaluated():
    split = make_split(size=10)
    middle = replace(split, images=split.images[:, 2:8, 2:8].contiguous())
    assert torch.equal(plain_batch(stored_larger(split, 6), slice(12))[0], plain_batch(middle, slice(12))[0])


def test_a_padded_crop_of_larger_images_reads_what_is_there():
    split, augmentation = stored_larger(make_split(size=10), 6), Augmentation(crop_padding=2, flip=False)
    plan = plan_of(split, augmentation, 1, 2)
    images, _ = training_batch(split, plan, augmentation, 0, 12)
    for image, row, (y, x) in zip(images, plan.order.tolist(), plan.crop.tolist(), strict=True):
        expected = normalised(split, row)[y : y + 6, x : x + 6].transpose(2, 0, 1)
        np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-5)


# --- resized crops and colours --------------------------------------------------------------------

ALL = Augmentation(
    crop_padding=0, random_resized_crop=0.1, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2, cutout=3
)


def test_what_is_not_asked_for_draws_nothing():
    """The draws of the first version, whatever was added since."""
    split = make_split(count=5)
    generator = torch.Generator().manual_seed(stream_seed(1, "images", 2))
    plan = plan_of(split, Augmentation(), 1, 2)
    assert torch.equal(plan.order, torch.randperm(5, generator=generator))
    assert torch.equal(plan.crop, torch.randint(9, (5, 2), generator=generator))
    assert torch.equal(plan.flip, torch.rand(5, generator=generator) < 0.5)
    assert torch.equal(plan.cutout, torch.randint(6, (5, 2), generator=generator))
    assert plan.rectangle is plan.colours is None
    more = plan_of(split, Augmentation(crop_padding=4, hue=0.1), 1, 2)
    assert all(map(torch.equal, drawn(plan), drawn(more)))


def test_rectangles_are_as_the_settings_say():
    split = make_split(count=20_000)
    plan = plan_of(split, Augmentation(crop_padding=0, random_resized_crop=0.25), 0, 0)
    top, left, height, width = plan.rectangle.double().T
    assert (plan.rectangle >= 0).all()
    assert (top + height).max() <= 1 + 1e-6
    assert (left + width).max() <= 1 + 1e-6
    whole = (height < 1) & (width < 1)  # the others are cut
    assert whole.float().mean() > 0.75
    ratio = (width / height)[whole]
    assert 3 / 4 - 1e-5 < ratio.min() < 0.76
    assert 1.32 < ratio.max() < 4 / 3 + 1e-5
    area = (height * width)[whole]
    assert 0.25 - 1e-5 < area.min() < 0.26
    small = (height * width < 0.5).float().mean()  # of 0.25..1 uniformly: a third, and cutting adds to it
    assert 0.32 < small < 0.36
    assert abs((top / (1 - height))[whole].mean() - 0.5) < 0.02


def slow_resized(pixels, rectangle, size):
    """Bilinear interpolation, one pixel after the other; beyond the outermost pixels their values go on."""
    stored = len(pixels)
    top, left, height, width = rectangle
    result = np.empty((size, size, pixels.shape[2]))
    for i in range(size):
        for j in range(size):
            y = np.clip((top + (i + 0.5) / size * height) * stored - 0.5, 0, stored - 1)
            x = np.clip((left + (j + 0.5) / size * width) * stored - 0.5, 0, stored - 1)
            y0, x0 = min(int(y), stored - 2), min(int(x), stored - 2)
            dy, dx = y - y0, x - x0
            result[i, j] = (1 - dy) * ((1 - dx) * pixels[y0, x0] + dx * pixels[y0, x0 + 1]) + dy * (
                (1 - dx) * pixels[y0 + 1, x0] + dx * pixels[y0 + 1, x0 + 1]
            )
    return result


@pytest.mark.parametrize("flip", [False, True])
def test_resized_crops_are_the_slow_references(flip):
    split = stored_larger(make_split(size=9), 6)
    augmentation = Augmentation(crop_padding=0, random_resized_crop=0.2, flip=flip, cutout=2)
    plan = plan_of(split, augmentation, 3, 4)
    images, labels = training_batch(split, plan, augmentation, 2, 9)
    for position, image in enumerate(images, start=2):
        row = int(plan.order[position])
        expected = slow_resized(split.images[row].double().numpy(), plan.rectangle[position].tolist(), 6)
        if flip and plan.flip[position]:
            expected = expected[:, ::-1]
        expected = expected * split.scale.double().numpy() + split.shift.double().numpy()
        y, x = (centre - 1 for centre in plan.cutout[position].tolist())
        expected[max(y, 0) : max(y + 2, 0), max(x, 0) : max(x + 2, 0)] = 0
        np.testing.assert_allclose(image, expected.transpose(2, 0, 1), rtol=1e-4, atol=1e-4)
    assert torch.equal(labels, split.labels[plan.order[2:9]])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_with_everything_depends_on_its_position_alone(channels):
    split = stored_larger(make_split(size=10, channels=channels), 7)
    augmentation = ALL if channels == 3 else ALL.model_copy(update={"saturation": 0.0, "hue": 0.0})
    plan = plan_of(split, augmentation, 1, 2)
    whole, _ = training_batch(split, plan, augmentation, 0, 12)
    parts = [training_batch(split, plan, augmentation, *span)[0] for span in ((0, 5), (5, 6), (6, 6), (6, 12))]
    assert torch.equal(whole, torch.cat(parts))
    assert whole.is_contiguous(memory_format=torch.channels_last)


# --- streamed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("augmentation", [Augmentation(cutout=3), ALL])
def test_streamed_batches_are_the_resident_ones(augmentation):
    resident = stored_larger(make_split(count=23, size=10), 7)
    streamed = replace(resident, streamed=True)
    plan = plan_of(resident, augmentation, 1, 2)
    assert all(map(torch.equal, drawn(plan), drawn(plan_of(streamed, augmentation, 1, 2))))
    spans = [(0, 8), (8, 8), (8, 16), (16, 23)]
    batches = [list(training_batches(split, plan, augmentation, spans)) for split in (resident, streamed)]
    for (images, labels), (other_images, other_labels) in zip(*batches, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)
    rows = [slice(0, 5), torch.tensor([3, 1, 22, 3]), slice(5, 23)]
    for (images, labels), (other_images, other_labels) in zip(
        plain_batches(resident, rows), plain_batches(streamed.part(0, 23), rows), strict=True
    ):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_streamed_batches_are_fetched_ahead_and_no_further():
    fetched = []
    batches = ahead(fetched.append, range(100))
    for expected in range(10):
        item, _ = next(batches)
        assert item == expected
        assert len(fetched) <= expected + 1 + AHEAD
    batches.close()
    assert 10 <= len(fetched) <= 10 + AHEAD + 1


def test_an_error_while_fetching_is_raised_where_the_batch_is_needed():
    def work(item):
        if item == 3:
            raise OSError("gone")
        return item

    batches = ahead(work, range(10))
    assert [next(batches)[1] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(batches)


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
