"""What search and augment share: device, optimiser, one training step, evaluation."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from enas_core.spaces.networks import Network, Supernet


def factors(
    network: Network | Supernet,
    count: int,
    seed: int,
    keep_prob: float,
    drop_path_keep_probs: Sequence[float] | None = None,
    part: slice = slice(None),
) -> tuple[Tensor | None, Tensor | None]:
    """Factors for drop path and dropout (see `Network.forward`) of `count` images, drawn from `seed`: 0, or
    1 / keep probability. `drop_path_keep_probs`: one a layer. Of all images only those of `part` are returned. None
    where nothing is dropped."""
    if keep_prob == 1 and drop_path_keep_probs is None:
        return None, None
    device = network.fc.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    layers = len(drop_path_keep_probs or ())
    paths = layers * network.paths
    noise = torch.rand(count, paths + network.num_features, generator=generator, device=device)[part]
    drop_path, dropout = None, None
    if drop_path_keep_probs is not None:
        pinned = torch.tensor(drop_path_keep_probs, pin_memory=device.type == "cuda")  # so that nothing waits for it
        keep = pinned.to(device, non_blocking=True)[:, None]
        drop_path = torch.floor(noise[:, :paths].view(len(noise), layers, network.paths) + keep) / keep
    if keep_prob < 1:
        dropout = torch.floor(noise[:, paths:] + keep_prob) / keep_prob
    return drop_path, dropout


def stream_seed(seed: int, purpose: str, *counters: int) -> int:
    """A 63-bit seed for the draw named `purpose` at `counters` (epoch, step, ...)."""
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *counters]).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1
