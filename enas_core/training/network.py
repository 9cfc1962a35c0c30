"""Training of one arc from scratch, in the deeper, wider stand-alone network: what `python -m enas_core.augment` does.

Reads the stage's settings, the prepared images and an arc; leaves the network's weights and one row an epoch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enas_core.console import log, progress
from enas_core.data.batches import plan_epoch, training_batches
from enas_core.data.fit import shape_for
from enas_core.data.prepared import Dataset, Split, divided
from enas_core.settings.stages import AugmentStage
from enas_core.spaces.layers import initialise
from enas_core.spaces.space import Arc
from enas_core.training.checkpoint import Watch
from enas_core.training.compilation import accelerate
from enas_core.training.descent import CHECK_EVERY, Descent
from enas_core.training.epochs import Epochs
from enas_core.training.evaluation import Evaluation, evaluate_network
from enas_core.training.events import EventFiles
from enas_core.training.position import Position
from enas_core.training.processes import ALONE, Processes
from enas_core.training.randomness import noise_factors, stream_seed
from enas_core.training.schedule import learning_rate


class NetworkTraining:
    """One training of one arc; `network_name` is what the tables call the network. The last `valid_images` training
    images, if any, are held out and evaluated after each epoch."""

    def __init__(
        self,
        settings: AugmentStage,
        data: Dataset,
        arc: Arc,
        network_name: str,
        seed: int,
        device: torch.device,
        events: EventFiles | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.settings, self.data, self.arc, self.seed, self.device = settings, data, arc, seed, device
        self.network_name, self.processes = network_name, processes
        augment = settings.augment
        name = f"{network_name} seed {seed}"
        self.train_split, self.valid_split = divided(data.train, augment)

        shape = shape_for(augment, data.manifest)
        self.network = settings.search_space.network(arc, shape, augment.bn_zero_debias)
        initialise(self.network, augment.init_fan_in, torch.Generator().manual_seed(stream_seed(seed, "weights")))
        accelerate(self.network.to(device), settings, device, processes)

        self.descent = Descent(name, self.network, augment, len(self.train_split), processes)
        self.epochs = Epochs(name, augment.num_epochs, "test_accuracy", events)
        self.at = Position()
        self.confusion: Tensor | None = None
        """Of the last epoch's test images; see `Evaluation`. None before there is one."""

    def train(self, watch: Watch) -> None:
        """All epochs that are left. `watch` is told of every step, and saves now and then."""
        settings, augment, train_split = self.settings, self.settings.augment, self.train_split
        descent, at = self.descent, self.at
        at.start_clock()
        while at.epoch < augment.num_epochs:
            # One pass over the training images.
            plan = plan_epoch(train_split, settings.augmentation, stream_seed(self.seed, "images", at.epoch))
            steps = range(at.step, descent.steps)
            batches = training_batches(train_split, plan, settings.augmentation, descent.spans(steps))
            for step in progress(steps, f"{descent.name} epoch {at.epoch}", descent.steps, at.step):
                batch = descent.batch(step)
                images, labels = next(batches)
                drop_path, dropout = noise_factors(
                    self.network,
                    self.device,
                    batch.size,
                    stream_seed(self.seed, "noise", at.epoch, step),
                    augment.keep_prob,
                    descent.keep_probs(at.epoch, step) if augment.drop_path_keep_prob < 1 else None,
                    batch.part,
                )
                outputs = descent.forward(images, drop_path, dropout)
                descent.descend(at.epoch, step, outputs, labels)
                at.finish_step()
                if at.step % CHECK_EVERY == 0:
                    self.require_finite()
                watch.step()
            self.require_finite()

            # The test images, which choose nothing, and those that are held out. What is saved after one of their
            # batches starts with the first.
            test = self._evaluate(self.data.test, watch)
            valid = self._evaluate(self.valid_split, watch) if len(self.valid_split) else None
            self.confusion = test.confusion
            at.tick()
            train_loss, train_accuracy = descent.means()
            self.epochs.add(
                {
                    "experiment": settings.experiment,
                    "dataset": settings.dataset,
                    "network": self.network_name,
                    "space": settings.space,
                    "arc": str(self.arc),
                    "seed": self.seed,
                    "epoch": at.epoch,
                    "learning_rate": learning_rate(augment, at.epoch, 1),
                    "drop_path_keep_prob": descent.keep_probs(at.epoch, descent.steps - 1)[-1],
                    "train_loss": train_loss,
                    "train_accuracy": train_accuracy,
                    "test_loss": test.loss,
                    "test_accuracy": test.accuracy,
                    "test_balanced_accuracy": test.balanced_accuracy,
                    "valid_loss": valid.loss if valid is not None else None,
                    "valid_accuracy": valid.accuracy if valid is not None else None,
                    "images_per_second": descent.images / at.train_seconds,
                    "seconds": at.seconds,
                }
            )
            at.next_epoch()
            watch.save()

    def _evaluate(self, split: Split, watch: Watch) -> Evaluation:
        """Over the images of a split. Draws nothing."""
        return evaluate_network(self.network, split, self.settings.augment.batch_size, watch.step, self.processes)

    def require_finite(self) -> None:
        """Raise RunError when this epoch has diverged."""
        self.descent.require_finite(self.at.epoch, self.at.step, lambda step: self.arc)

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes. Raises RunError instead when a step has diverged."""
        self.require_finite()
        return {
            "descent": self.descent.state_dict(),
            "rows": self.epochs.rows,
            "at": self.at.state_dict(),
            "confusion": self.confusion,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.descent.load_state_dict(state["descent"])
        self.at.load_state_dict(state["at"])
        self.epochs.load("augment_epochs", state["rows"], self.at.epoch)
        self.confusion = state.get("confusion")  # an earlier version saved none
        log.info("%s goes on at %s", self.descent.name, self.at)
