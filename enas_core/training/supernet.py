"""Search: train the supernet's shared weights and the controller in turn (Pham et al. 2018, section 2.2)."""

from __future__ import annotations

import argparse
import math
from typing import Any

import torch
from torch import Tensor

from enas_core.console import RunError, progress
from enas_core.data.batches import equal_batches, plain_batch, plan_epoch, training_batch
from enas_core.data.prepared import Dataset, Split
from enas_core.files.inputs import Inputs
from enas_core.files.tables import provenance, write_table
from enas_core.policies.controller import Controller, Reinforce, UpdateResult
from enas_core.settings.stages import SearchSettings, fingerprint, to_json
from enas_core.spaces.layers import initialise
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.saved import save_supernet
from enas_core.spaces.space import Arc
from enas_core.training.checkpoint import Saver, StateDirectory, resume, run_fingerprint
from enas_core.training.compilation import accelerate
from enas_core.training.device import describe_device
from enas_core.training.evaluation import child_accuracy
from enas_core.training.events import EventFiles
from enas_core.training.processes import ALONE, Processes
from enas_core.training.randomness import factors, stream_seed
from enas_core.training.run import TrainingRun, build_supernet, load_for
from enas_core.training.schedule import learning_rate


class SearchRun(TrainingRun):
    """One search. `step` counts the epoch's child steps and then its controller updates."""

    def __init__(
        self,
        settings: SearchSettings,
        data: Dataset,
        seed: int,
        device: torch.device,
        events: EventFiles | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.settings, self.search, self.data, self.name = settings, settings.search, data, f"search seed {seed}"
        held_out = len(data.train) - self.search.valid_images
        self.train_split = data.train.part(0, held_out)
        self.valid_split = data.train.part(held_out, len(data.train))
        generator = torch.Generator().manual_seed(stream_seed(seed, "weights"))
        self.supernet = build_supernet(settings, data)
        initialise(self.supernet, self.search.init_fan_in, generator)
        accelerate(self.supernet.to(device), settings, device, processes)
        super().__init__(self.supernet, self.search, held_out, seed, events, processes)
        self.reinforce = Reinforce(Controller(self.search.controller, settings.num_nodes, generator))
        self.updates: list[UpdateResult] = []
        self.child_seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes. Raises RunError instead when a step has diverged."""
        return super().state_dict() | {
            "reinforce": self.reinforce.state_dict(),
            "updates": [list(update) for update in self.updates],
            "child_seconds": self.child_seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        super().load_state_dict(state)
        self.reinforce.load_state_dict(state["reinforce"])
        self.updates = [UpdateResult(*update) for update in state["updates"]]
        self.child_seconds = state["child_seconds"]

    def arcs(self, count: int, purpose: str, *counters: int) -> list[Arc]:
        """Arcs from the policy as it is, drawn for `purpose` in this epoch."""
        if self.search.policy == "random":
            return [uniform_arc(self._draw(purpose, *counters, i), self.settings.num_nodes) for i in range(count)]
        generator = torch.Generator().manual_seed(self._draw(purpose, *counters))
        with torch.no_grad():
            return self.reinforce.controller.sample(count, generator).arcs

    def _draw(self, purpose: str, *counters: int) -> int:
        return stream_seed(self.seed, purpose, self.epoch, *counters)

    def arc_of(self, step: int) -> Arc:
        """The arc sampled for child step `step`, while the controller is as it was for it."""
        return self.arcs(self.steps, "child arcs")[step]

    def train(self, saver: Saver) -> None:
        """All epochs that are left."""
        self.tick()
        while self.epoch < self.search.num_epochs:
            self.train_children(saver)
            if self.search.policy == "controller":
                self.train_controller(saver)
            self.evaluate_epoch(saver)
            saver.save()

    def train_children(self, saver: Saver) -> None:
        """One pass over the training images, with a freshly sampled arc for each batch."""
        if self.step > self.steps:
            return
        augmentation, search = self.settings.augmentation, self.search
        plan = plan_epoch(self.train_split, augmentation, self.seed, self.epoch)
        arcs = self.arcs(self.steps, "child arcs")
        steps = range(self.step, self.steps)
        for step in progress(steps, f"{self.name} epoch {self.epoch} children", self.steps, self.step):
            positions, part = self.batch_of(step)
            images, labels = training_batch(self.train_split, plan, augmentation, positions.start, positions.stop)
            drop_path, dropout = factors(
                self.network,
                self.batch_size(step),
                self._draw("child noise", step),
                search.keep_prob,
                self.drop_path_keep_probs(step) if search.apply_drop_path and search.drop_path_keep_prob < 1 else None,
                part,
            )
            self.descend(step, self.parallel(images, arcs[step], drop_path, dropout), labels)
            self.advance(saver)
        self.check()
        self.child_seconds = self.seconds

    def train_controller(self, saver: Saver) -> None:
        """The controller's updates, each from the accuracies of several arcs on validation batches."""
        controller, done = self.search.controller, self.step - self.steps
        rows = self._reward_rows(controller.updates_per_epoch, controller.arcs_per_update)
        updates = range(done, controller.updates_per_epoch)
        description = f"{self.name} epoch {self.epoch} controller"
        for update in progress(updates, description, controller.updates_per_epoch, done):
            arcs = self.arcs(controller.arcs_per_update, "reward arcs", update)
            accuracies = rows.new_zeros(len(arcs), dtype=torch.float32)
            for k in self.processes.deal(len(arcs)):
                if k is not None:
                    images, labels = plain_batch(self.valid_split, rows[update, k])
                    accuracies[k] = self._accuracy(arcs[k], images, labels, "reward noise", update, k)
            self.updates.append(self.reinforce.update(arcs, self.processes.sum(accuracies).tolist()))
            self._check_update(update, arcs)
            self.advance(saver)

    def _check_update(self, update: int, arcs: list[Arc]) -> None:
        """Raise RunError when the controller has diverged; its NaNs would silently choose arcs."""
        weights = self.reinforce.controller.parameters()
        if not all(map(math.isfinite, self.updates[-1])) or not all(bool(p.isfinite().all()) for p in weights):
            raise RunError(
                f"{self.name} diverged: the controller's loss, gradient or weights not finite at epoch {self.epoch},"
                f" update {update}, learning rate {self.search.controller.learning_rate:.6g},"
                f" arcs {', '.join(map(str, arcs))}; the last good state is kept"
            )

    def _reward_rows(self, updates: int, arcs: int) -> Tensor:
        """Validation images of each reward batch, [updates, arcs, batch]: one permutation after another."""
        count, size = len(self.valid_split), min(self.search.batch_size, len(self.valid_split))
        generator = torch.Generator().manual_seed(self._draw("reward images"))
        needed = updates * arcs * size
        passes = [torch.randperm(count, generator=generator) for _ in range(-(-needed // count))]
        rows = torch.cat([*passes, torch.empty(0, dtype=torch.int64)])[:needed]
        return rows.view(updates, arcs, size).to(self.valid_split.labels.device)

    def _accuracy(self, arc: Arc, images: Tensor, labels: Tensor, purpose: str, *counters: int) -> Tensor:
        keep_prob = self.search.keep_prob if self.search.reward_dropout else 1.0
        _, dropout = factors(self.network, len(labels), self._draw(purpose, *counters), keep_prob)
        return child_accuracy(self.supernet, arc, images, labels, dropout)

    def mean_accuracy(self, split: Split, part: str, saver: Saver) -> float:
        """Mean accuracy over the batches of a split, a freshly sampled arc for each."""
        batches = equal_batches(len(split), self.search.batch_size)
        arcs = self.arcs(len(batches), f"{part} arcs")
        accuracies = torch.zeros(len(batches), device=split.labels.device)
        for k in self.processes.deal(len(batches)):
            if k is not None:
                accuracies[k] = self._accuracy(arcs[k], *plain_batch(split, batches[k]), f"{part} noise", k)
            saver.step()  # what is saved here starts with this evaluation
        return float(self.processes.sum(accuracies).double().mean())

    def evaluate_epoch(self, saver: Saver) -> None:
        """Validate and test sampled children, and write the epoch's row."""
        loss, accuracy = self.epoch_means()
        valid_accuracy = self.mean_accuracy(self.valid_split, "valid", saver)
        test_accuracy = self.mean_accuracy(self.data.test, "test", saver)
        self.tick()
        row = {
            "experiment": self.settings.experiment,
            "dataset": self.settings.dataset,
            "seed": self.seed,
            "epoch": self.epoch,
            "learning_rate": learning_rate(self.search, self.epoch, 1),
            "train_loss": loss,
            "train_accuracy": accuracy,
            "valid_accuracy": valid_accuracy,
            "test_accuracy": test_accuracy,
            "controller_baseline": self.reinforce.baseline if self.search.policy == "controller" else None,
            "images_per_second": self.images / self.child_seconds,
            "seconds": self.seconds,
        }
        if self.updates:
            means = UpdateResult(*(sum(values) / len(values) for values in zip(*self.updates, strict=True)))
            row |= {f"controller_{name}": value for name, value in means._asdict().items()}
        self.updates = []
        self.finish_epoch(row, "valid_accuracy")


def run_search(
    options: argparse.Namespace,
    settings: SearchSettings,
    inputs: Inputs,
    device: torch.device,
    processes: Processes,
) -> None:
    """The search, from what is left of it to its files."""
    data = load_for(settings, settings.search, options.data, device)
    identity = run_fingerprint("search", to_json(settings), data.fingerprint, str(options.seed))
    made_by = provenance(describe_device(device, processes), fingerprint(settings)) | {"run": identity}
    table, weights = options.out_dir / "epochs.parquet", options.out_dir / "supernet.pt"

    def emit(run: SearchRun) -> None:
        save_supernet(weights, run.supernet, run.reinforce.controller.state_dict())
        write_table(table, "search_epochs", run.rows, made_by)

    events = EventFiles(options.out_dir / "tensorboard") if options.tensorboard and processes.first else None
    resume(
        lambda: SearchRun(settings, data, options.seed, device, events, processes),
        StateDirectory(options.state_dir, identity, processes),
        options.save_every,
        inputs,
        weights,
        table,
        emit,
    )
