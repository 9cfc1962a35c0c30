"""Changes of brightness, contrast, saturation and hue, of a whole batch, each image by factors of its own.

They come one after the other in this order, and after each the pixels are cut to their range.

Shapes: B images in a batch, S pixels a side, C channels: three, or one, which has no saturation and no hue.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to grey."""


def changed_colours(images: Tensor, changes: Tensor, with_hue: bool) -> Tensor:
    """Pixels 0..255 [B, S, S, C] from such pixels. `changes` [B, 4]: three factors, and what is added to the hue, as a
    fraction of its circle, if `with_hue`."""
    brightness, contrast, saturation, hue = changes[:, :, None, None, None].unbind(1)
    x = (images / 255 * brightness).clamp(0, 1)
    mean = _grey(x).mean((1, 2), keepdim=True)
    x = (mean + contrast * (x - mean)).clamp(0, 1)
    if x.shape[3] == 3:
        grey = _grey(x)
        x = (grey + saturation * (x - grey)).clamp(0, 1)
        if with_hue:
            x = turned(x, hue)
    return 255 * x


def _grey(x: Tensor) -> Tensor:
    """[B, S, S, 1]."""
    return x if x.shape[3] == 1 else (x * x.new_tensor(LUMA)).sum(3, keepdim=True)


def turned(x: Tensor, shift: Tensor) -> Tensor:
    """RGB pixels 0..1 [B, S, S, 3] with another hue, and with their saturation and value (of HSV) as they are."""
    value, most = x.max(3, keepdim=True)
    chroma = value - x.amin(3, keepdim=True)
    red, green, blue = x.split(1, 3)
    above = chroma.clamp_min(1e-8)
    sector = torch.where(
        most == 0,
        (green - blue) / above,
        torch.where(most == 1, 2 + (blue - red) / above, 4 + (red - green) / above),
    )
    # A channel is `chroma` below the value in two of six sectors, at it in two, and between in the others.
    at = (x.new_tensor([5.0, 3.0, 1.0]) + sector + 6 * shift) % 6
    return value - chroma * torch.minimum(at, 4 - at).clamp(0, 1)
