"""Losses and accuracies, of a batch and of a whole split."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from enas_core.analysis.classes import balanced_accuracy
from enas_core.data.batches import equal_batches, plain_batches
from enas_core.data.prepared import Split
from enas_core.settings.training import Training
from enas_core.spaces.networks import Network, Outputs, Supernet
from enas_core.spaces.space import Arc
from enas_core.training.processes import ALONE, Processes


def loss_of(outputs: Outputs, labels: Tensor, training: Training) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the main classifier, and the loss to minimise (without its L2 term); 0 without images."""
    logits, aux_logits = outputs
    cross_entropy = mean_cross_entropy(logits, labels)
    if aux_logits is None:
        return cross_entropy, cross_entropy
    return cross_entropy, cross_entropy + training.aux_weight * mean_cross_entropy(aux_logits, labels)


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the images; 0 without images."""
    return F.cross_entropy(logits, labels, reduction="sum") / max(len(labels), 1)


def hits(logits: Tensor, labels: Tensor) -> Tensor:
    """Number of correct predictions, on the device."""
    return (logits.argmax(1) == labels).sum()


class Evaluation(NamedTuple):
    """Of a network on the images of a split."""

    loss: float
    """Mean cross-entropy, nats."""
    accuracy: float
    confusion: Tensor
    """int64 [K, K], on the host: images of each class, a row, for which each class was the answer."""

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes."""
        return balanced_accuracy(self.confusion.numpy())


@torch.inference_mode()
def evaluate_network(
    network: Network, split: Split, batch_size: int, after_batch: Callable[[], None], processes: Processes = ALONE
) -> Evaluation:
    """Of a split, with moving statistics; each process has its part of the batches."""
    network.eval()
    batches = equal_batches(len(split), batch_size)
    sums = torch.zeros(len(batches), 2, dtype=torch.float64, device=split.labels.device)
    classes = network.shape.num_classes
    confusion = torch.zeros(classes * classes, dtype=torch.int64, device=split.labels.device)
    dealt = list(processes.deal(len(batches)))
    loaded = plain_batches(split, (batches[k] for k in dealt if k is not None))
    for k in dealt:
        if k is not None:
            images, labels = next(loaded)
            logits = network(images)
            sums[k] = torch.stack([F.cross_entropy(logits, labels, reduction="sum"), hits(logits, labels)])
            confusion += torch.bincount(labels * classes + logits.argmax(1), minlength=classes * classes)
        after_batch()
    network.train()
    loss, correct = (processes.sum(sums).sum(0) / len(split)).tolist()
    return Evaluation(loss, correct, processes.sum(confusion).view(classes, classes).cpu())


@torch.inference_mode()
def child_accuracy(
    supernet: Supernet, arc: Arc, images: Tensor, labels: Tensor, dropout: Tensor | None = None
) -> Tensor:
    """Accuracy of the child `arc` on one batch, with batch statistics, on the device."""
    return child_answers(supernet, arc, images, labels, dropout).sum() / len(labels)


@torch.inference_mode()
def child_answers(
    supernet: Supernet, arc: Arc, images: Tensor, labels: Tensor, dropout: Tensor | None = None
) -> Tensor:
    """Whether the child `arc` is right on each image of one batch, with batch statistics, on the device."""
    supernet.eval()
    right = supernet(images, arc, dropout=dropout).argmax(1) == labels
    supernet.train()
    return right
