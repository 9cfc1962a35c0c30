"""Changes of colour, against torchvision's, which change one image at a time."""

import pytest
import torch
from torchvision.transforms import functional

from enas_core.data.colours import changed_colours, turned

NOTHING = (1.0, 1.0, 1.0, 0.0)


def images(count=6, channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 8, 8, channels), generator=generator, dtype=torch.uint8)


def changed(pixels, **changes):
    names = ("brightness", "contrast", "saturation", "hue")
    values = [changes.get(name, default) for name, default in zip(names, NOTHING, strict=True)]
    return changed_colours(pixels, torch.tensor([values] * len(pixels)), True) / 255


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_factors_are_torchvisions(name, factor):
    adjust = getattr(functional, f"adjust_{name}")
    for pixels in images():
        expected = adjust(pixels.permute(2, 0, 1) / 255, factor)
        found = changed(pixels[None], **{name: factor})[0].permute(2, 0, 1)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)  # whose weights of grey have four digits


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.0, 0.1, 0.5])
def test_hue_is_torchvisions(shift):
    for pixels in images():
        expected = functional.adjust_hue(pixels.permute(2, 0, 1) / 255, shift)
        found = changed(pixels[None], hue=shift)[0].permute(2, 0, 1)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_grey_pixels_have_no_hue():
    grey = torch.rand(2, 4, 4, 1).expand(-1, -1, -1, 3)
    torch.testing.assert_close(turned(grey, torch.full((2, 1, 1, 1), 0.3)), grey)


def test_each_image_has_its_own_changes():
    pixels = images(4)
    changes = torch.tensor([NOTHING, (0.5, 1, 1, 0), (1, 1.3, 0.7, 0), (1, 1, 1, 0.4)])
    together = changed_colours(pixels, changes, True)
    for i in range(4):
        assert torch.equal(together[i : i + 1], changed_colours(pixels[i : i + 1], changes[i : i + 1], True))
    torch.testing.assert_close(together[0], pixels[0].float(), rtol=0, atol=1e-3)


def test_grey_images():
    pixels = images(channels=1)
    found = changed(pixels, brightness=0.5, contrast=1.2, saturation=0.0, hue=0.4)
    expected = pixels / 255 * 0.5
    mean = expected.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(found, (mean + 1.2 * (expected - mean)).clamp(0, 1))
