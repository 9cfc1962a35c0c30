"""Gradient descent of one network over the images of an epoch: batches, steps, and the search for divergence."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from enas_core.console import RunError, UserError
from enas_core.settings.training import Training
from enas_core.spaces.networks import TORCH, Network, Outputs, Supernet
from enas_core.spaces.space import Arc
from enas_core.training.compilation import keep_operators
from enas_core.training.evaluation import hits, loss_of
from enas_core.training.optimiser import FlatSGD, trained_parameters, untrained_state
from enas_core.training.processes import Processes
from enas_core.training.schedule import drop_path_keep_probs, learning_rate, steps_per_epoch
from enas_core.training.step_log import StepLog

CHECK_EVERY = 50
"""Steps between looks for divergence, each of which waits for the device."""


class Batch(NamedTuple):
    """The batch of one step, and this process's part of it."""

    size: int
    """Images in all processes together."""
    start: int
    """Where this process's part starts among the images of the epoch."""
    stop: int
    """And where it ends."""
    part: slice
    """The same within the batch."""


class Descent:
    """The optimiser of a network, and what its steps were like in this epoch. `name` is for messages."""

    def __init__(
        self, name: str, network: Network | Supernet, training: Training, images: int, processes: Processes
    ) -> None:
        self.name, self.network, self.training = name, network, training
        self.images, self.processes = images, processes
        if network.aux_head is not None:
            network.aux_head.requires_grad_(training.train_aux_head)
        self.sgd = FlatSGD(trained_parameters(network, training), training)
        self.forward = _over_processes(network, training, images, processes)
        self.steps = steps_per_epoch(images, training.batch_size)
        self.log = StepLog(self.steps, self.sgd.values.device)

    def batch(self, step: int) -> Batch:
        """The batch of step `step`; in an epoch's last one there may be fewer images."""
        start = step * self.training.batch_size
        size = self._batch_size(step)
        first, last = self.processes.part(0, size)
        return Batch(size, start + first, start + last, slice(first, last))

    def spans(self, steps: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Where this process's part of each step's batch starts and ends among the images of the epoch."""
        return ((batch.start, batch.stop) for batch in map(self.batch, steps))

    def _batch_size(self, step: int) -> int:
        return min(self.training.batch_size, self.images - step * self.training.batch_size)

    def descend(self, epoch: int, step: int, outputs: Outputs, labels: Tensor) -> None:
        """Gradient step number `step` of the epoch. `outputs` and `labels` are of this process's part of the batch."""
        share = len(labels) / self._batch_size(step)
        cross_entropy, loss = loss_of(outputs, labels, self.training)
        # Gradients are averaged over the processes, where the whole batch's are a sum.
        (loss * (share * self.processes.count)).backward()
        norm = self.sgd.step(learning_rate(self.training, epoch, step))
        sums = torch.stack([cross_entropy.detach().double() * share, hits(outputs[0], labels).double()])
        cross_entropy, correct = self.processes.sum(sums)
        self.log.record(step, cross_entropy, norm, correct)

    def keep_probs(self, epoch: int, step: int) -> list[float]:
        """Of each layer at a step, for drop path."""
        done, total = epoch * self.steps + step, self.training.num_epochs * self.steps
        return drop_path_keep_probs(self.training.drop_path_keep_prob, self.network.depth, done, total)

    def means(self) -> tuple[float, float]:
        """Cross-entropy and accuracy over the epoch's training images."""
        return self.log.totals([self._batch_size(step) for step in range(self.steps)])

    def require_finite(self, epoch: int, steps: int, arc_of: Callable[[int], Arc]) -> None:
        """Raise RunError when one of the first `steps` steps of an epoch has diverged. Waits for the device."""
        first = self.log.first_divergence(steps)
        if first is not None:
            raise self.divergence("loss or gradient", epoch, first, arc_of(first))
        if steps and not self._state_is_finite():
            raise self.divergence("weights", epoch, steps - 1, arc_of(steps - 1))

    def _state_is_finite(self) -> bool:
        """Whether weights, momentum and moving statistics are. Finite gradients may still make them overflow."""
        tensors = [*self.sgd.state_dict().values(), *untrained_state(self.network, self.sgd).values()]
        return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())

    def divergence(self, what: str, epoch: int, step: int, arc: Arc) -> RunError:
        """The error that says where a training has diverged."""
        rate = learning_rate(self.training, epoch, step)
        return RunError(
            f"{self.name} diverged: {what} not finite at epoch {epoch}, step {step}, learning rate {rate:.6g},"
            f" arc {arc}; the last good state is kept"
        )

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser, and the log of this epoch."""
        return {
            "sgd": self.sgd.state_dict(),
            "untrained": untrained_state(self.network, self.sgd),
            "log": self.log.values,
            "operators": self.network.operators,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.sgd.load_state_dict(state["sgd"])
        self.network.load_state_dict(state["untrained"], strict=False)
        if state["log"].shape != self.log.values.shape:
            raise ValueError(f"log of shape {[*state['log'].shape]}, not {[*self.log.values.shape]}")
        self.log.values.copy_(state["log"])
        keep_operators(self.network, state.get("operators", TORCH))  # earlier states do not say, and knew no others


def _over_processes(network: Network | Supernet, training: Training, images: int, processes: Processes) -> nn.Module:
    """`network` as several processes train it: statistics and gradients are those of all. Just `network` for one.
    Raises UserError where a process would have no image to take statistics of."""
    if processes.count == 1:
        return network
    smallest = images % training.batch_size or training.batch_size
    if not training.sync_batch_norm and smallest < processes.count:
        raise UserError(
            f"sync_batch_norm: false needs an image of each batch for each of {processes.count} processes, the"
            f" smallest batch has {smallest} ({images} images by batch_size {training.batch_size}); allowed: true"
        )
    network.train_on_parts(processes, whole_batches=training.sync_batch_norm)
    # A supernet's steps use other parameters each time, and the same ones in all processes.
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch 2.6 lacks the option's new name
        return DistributedDataParallel(
            network, broadcast_buffers=False, find_unused_parameters=isinstance(network, Supernet)
        )
