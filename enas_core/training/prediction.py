"""Classes and probabilities of image files, by a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from enas_core.data.pictures import Picture

if TYPE_CHECKING:
    import torch

    from enas_core.spaces.networks import Network


BATCH = 100


def probabilities(network: Network, pictures: list[Picture], device: torch.device) -> torch.Tensor:
    """Probability of each class, [pictures, classes]."""
    import torch

    mean, std = torch.tensor(network.mean, device=device), torch.tensor(network.std, device=device)
    network.to(device)
    results = []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            pixels = np.stack([picture.pixels for picture in pictures[start : start + BATCH]])
            images = (torch.from_numpy(pixels).to(device) / 255 - mean) / std.clamp_min(1e-8)
            results.append(network(images.permute(0, 3, 1, 2)).softmax(1).cpu())
    return torch.cat(results)
