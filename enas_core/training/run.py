"""What search and augment share: device, optimiser, one training step, evaluation."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from enas_core.console import RunError, UserError, log, time_left
from enas_core.data.prepared import Dataset, load_prepared
from enas_core.settings.stages import AugmentSettings, SearchSettings
from enas_core.settings.training import Search, Training, check_training
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.networks import Network, Supernet
from enas_core.spaces.space import Arc, NetworkShape
from enas_core.training.checkpoint import Saver
from enas_core.training.evaluation import hits, loss_of
from enas_core.training.events import EventFiles
from enas_core.training.optimiser import FlatSGD, spread, trained_parameters, untrained_state
from enas_core.training.processes import ALONE, Processes
from enas_core.training.schedule import drop_path_keep_probs, learning_rate, steps_per_epoch
from enas_core.training.steplog import CHECK_EVERY, StepLog


def load_for(
    settings: SearchSettings | AugmentSettings, training: Training, folder: Path, device: torch.device
) -> Dataset:
    """Prepared images for `training`. Raises UserError, one line, when they are not what the settings count on."""
    data = load_prepared(folder, device)
    if data.manifest.dataset != settings.dataset:
        raise UserError(f"{folder}: holds {data.manifest.dataset!r}, the settings are for {settings.dataset!r}")
    held_out = training.valid_images if isinstance(training, Search) else 0
    if held_out >= len(data.train):
        raise UserError(f"{folder}: search.valid_images: {held_out}, but there are {len(data.train)} training images")
    try:
        check_training("search" if held_out else "augment", training, len(data.train) - held_out, data.image_size)
    except ValueError as error:
        raise UserError(f"{folder} does not fit the settings: {error}") from None
    return data


def build_supernet(settings: SearchSettings, data: Dataset) -> Supernet:
    """The supernet of these settings, its weights not initialised."""
    search = settings.search
    space = Micro(MicroSettings(num_nodes=settings.num_nodes, reduction_inputs=search.reduction_inputs))
    shape = NetworkShape(
        num_layers=search.num_layers,
        num_filters=search.num_filters,
        image_size=data.image_size,
        in_channels=data.in_channels,
        num_classes=data.num_classes,
        aux_head=search.aux_head,
    )
    return space.supernet(shape)


class TrainingRun(ABC):
    """What search and augment keep while they run: network and optimiser, the position (epoch, and step in
    it), the seconds spent in this epoch, the table's rows, and the log of this epoch's training steps."""

    name: str

    def __init__(
        self,
        network: Network | Supernet,
        training: Training,
        images: int,
        seed: int,
        events: EventFiles | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.network, self.training, self.images, self.seed = network, training, images, seed
        self.events, self.processes = events, processes
        if network.aux_head is not None:
            network.aux_head.requires_grad_(training.train_aux_head)
        self.sgd = FlatSGD(trained_parameters(network, training), training)
        self.parallel = spread(network, training, images, processes)
        self.steps = steps_per_epoch(images, training.batch_size)
        self.log = StepLog(self.steps, self.sgd.values.device)
        self.rows: list[dict[str, Any]] = []
        self.epoch, self.step, self.seconds = 0, 0, 0.0
        self._clock = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes. Raises RunError instead when a step has diverged."""
        self.check()
        return {
            "sgd": self.sgd.state_dict(),
            "untrained": untrained_state(self.network, self.sgd),
            "log": self.log.values,
            "rows": self.rows,
            "position": [self.epoch, self.step, self.seconds],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.sgd.load_state_dict(state["sgd"])
        self.network.load_state_dict(state["untrained"], strict=False)
        self.log.values.copy_(state["log"])
        self.rows = state["rows"]
        self.epoch, self.step, self.seconds = state["position"]
        log.info("%s goes on at epoch %d, step %d", self.name, self.epoch, self.step)

    def batch_of(self, step: int) -> tuple[slice, slice]:
        """This process's part of the batch of step `step`: as positions in the epoch, and in the batch."""
        start, batch = step * self.training.batch_size, self.batch_size(step)
        first, last = self.processes.part(0, batch)
        return slice(start + first, start + last), slice(first, last)

    def batch_size(self, step: int) -> int:
        """Images of step `step`, in all processes."""
        return min(self.training.batch_size, self.images - step * self.training.batch_size)

    def descend(self, step: int, outputs: tuple[Tensor, Tensor | None], labels: Tensor) -> None:
        """Gradient step number `step` of the epoch, recorded on the device. `outputs` and `labels`: of this process's
        part of the batch."""
        share = len(labels) / self.batch_size(step)
        cross_entropy, loss = loss_of(outputs, labels, self.training)
        # Over the processes, gradients are averaged.
        (loss * (share * self.processes.count)).backward()
        norm = self.sgd.step(learning_rate(self.training, self.epoch, step))
        sums = torch.stack([cross_entropy.detach().double() * share, hits(outputs[0], labels).double()])
        cross_entropy, correct = self.processes.sum(sums)
        self.log.record(step, cross_entropy, norm, correct)

    def drop_path_keep_probs(self, step: int) -> list[float]:
        """Keep probability of each layer at step `step` of this epoch."""
        total = self.training.num_epochs * self.steps
        return drop_path_keep_probs(self.training, self.epoch * self.steps + step, total)

    def advance(self, saver: Saver) -> None:
        """One step is done: count it and its time, look for divergence now and then, save if it is due."""
        self.step += 1
        self.tick()
        if self.step % CHECK_EVERY == 0:
            self.check()
        saver.step()

    def tick(self) -> None:
        """Count the time since the last tick."""
        now = time.perf_counter()
        self.seconds, self._clock = self.seconds + now - self._clock, now

    def check(self) -> None:
        """Raise RunError when a training step of this epoch has diverged. Waits for the device."""
        done = min(self.step, self.steps)
        step = self.log.first_divergence(done)
        if step is not None:
            self._diverged("loss or gradient", step)
        if done and not self._finite():
            self._diverged("weights", done - 1)

    def _finite(self) -> bool:
        """Whether weights, momentum and moving statistics are. Finite gradients may still make them overflow."""
        tensors = [*self.sgd.state_dict().values(), *untrained_state(self.network, self.sgd).values()]
        return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())

    def _diverged(self, what: str, step: int) -> NoReturn:
        rate = learning_rate(self.training, self.epoch, step)
        raise RunError(
            f"{self.name} diverged: {what} not finite at epoch {self.epoch}, step {step}, learning rate {rate:.6g},"
            f" arc {self.arc_of(step)}; the last good state is kept"
        )

    @abstractmethod
    def arc_of(self, step: int) -> Arc:
        """The arc that step `step` of this epoch trains."""

    def epoch_means(self) -> tuple[float, float]:
        """Cross-entropy and accuracy over the epoch's training images."""
        return self.log.totals([self.batch_size(step) for step in range(self.steps)])

    def finish_epoch(self, row: dict[str, Any], score: str) -> None:
        """Add the epoch's row, report it with the column `score`, and move on to the next epoch."""
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                self._diverged(f"{name} is", self.steps - 1)
        self.rows.append(row)
        if self.events is not None:
            self.events.show(self.rows)
        self.log.values.zero_()
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        total = self.training.num_epochs
        log.info(
            f"{self.name}  epoch {self.epoch}/{total}  loss {row['train_loss']:.4f}  train {row['train_accuracy']:.4f}"
            f"  {score.split('_')[0]} {row[score]:.4f}  {row['images_per_second']:.0f} images/s"
            f"  {row['seconds']:.1f} s  left {time_left(self.epoch, total, sum(r['seconds'] for r in self.rows))}"
        )
