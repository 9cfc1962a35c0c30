"""What the steps of an epoch were like, kept on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class StepLog:
    """Cross-entropy, gradient norm and hits of each step. Nothing waits for the device until `first_divergence` or
    `totals`."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self.values = torch.zeros(3, steps, dtype=torch.float64, device=device)

    def record(self, step: int, cross_entropy: Tensor, grad_norm: Tensor, hits: Tensor) -> None:
        """`cross_entropy` is the batch's mean; `hits` its number of correct predictions."""
        self.values[:, step] = torch.stack([cross_entropy.detach().double(), grad_norm.double(), hits.double()])

    def first_divergence(self, steps: int) -> int | None:
        """The first of `steps` steps with a loss or gradient that is not finite, if any."""
        bad = (~self.values[:2, :steps].isfinite()).any(0).nonzero()
        return int(bad[0]) if len(bad) else None

    def totals(self, batch_sizes: Sequence[int]) -> tuple[float, float]:
        """Mean cross-entropy and accuracy over all images."""
        sizes = torch.tensor(batch_sizes, dtype=torch.float64, device=self.values.device)
        images = sizes.sum()
        return float((self.values[0] * sizes).sum() / images), float(self.values[2].sum() / images)
