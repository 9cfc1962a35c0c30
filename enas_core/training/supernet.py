"""Training of a supernet's shared weights and of the policy that proposes its arcs, in turn (Pham et al. 2018, section
2.2): what `python -m enas_core.search` does.

Reads the stage's settings and the prepared images; leaves the shared weights, the policy and one row an epoch.

Shapes: U updates of the policy in an epoch, A arcs in each, B images in a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from enas_core.analysis.signal import beyond_guessing, chance_level
from enas_core.console import RunError, log, progress
from enas_core.data.batches import equal_batches, plain_batch, plain_batches, plan_epoch, training_batches
from enas_core.data.fit import shape_for
from enas_core.data.prepared import Dataset, Split, divided
from enas_core.policies import policy_class
from enas_core.policies.policy import Draw
from enas_core.settings.stages import SearchStage
from enas_core.spaces.layers import initialise
from enas_core.spaces.space import Arc
from enas_core.training.checkpoint import Watch
from enas_core.training.compilation import accelerate
from enas_core.training.descent import CHECK_EVERY, Descent
from enas_core.training.epochs import Epochs
from enas_core.training.evaluation import child_accuracy
from enas_core.training.events import EventFiles
from enas_core.training.position import Position
from enas_core.training.processes import ALONE, Processes
from enas_core.training.randomness import draw_for, noise_factors
from enas_core.training.schedule import learning_rate


class SupernetTraining:
    """One search. The last `valid_images` training images are held out for rewards and validation."""

    def __init__(
        self,
        settings: SearchStage,
        data: Dataset,
        seed: int,
        device: torch.device,
        events: EventFiles | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.settings, self.data, self.seed, self.device = settings, data, seed, device
        self.processes = processes
        search, space = settings.search, settings.search_space
        name = f"search seed {seed}"
        self.train_split, self.valid_split = divided(data.train, search)

        # One generator draws the initial weights of both, one after the other.
        generator = torch.Generator().manual_seed(draw_for(seed, "weights")())
        self.supernet = space.supernet(shape_for(search, data.manifest))
        initialise(self.supernet, search.init_fan_in, generator)
        accelerate(self.supernet.to(device), settings, device, processes)
        kind = policy_class(search.policy)
        self.policy, self.update_plan = kind(space, search, generator), kind.plan(search)

        self.descent = Descent(name, self.supernet, search, len(self.train_split), processes)
        self.epochs = Epochs(name, search.num_epochs, "valid_accuracy", events)
        self.at = Position()
        self.arcs: list[Arc] = []
        """Those that this epoch's steps train."""
        self.updates: list[Mapping[str, float]] = []
        """What this epoch's updates of the policy were like."""

    def train(self, watch: Watch) -> None:
        """All epochs that are left. `watch` is told of every step, and saves now and then."""
        self.at.start_clock()
        while self.at.epoch < self.settings.search.num_epochs:
            self.train_children(watch)
            self.train_policy(watch)
            self.evaluate(watch)
            watch.save()

    def train_children(self, watch: Watch) -> None:
        """One pass over the training images, with a freshly proposed arc for each batch."""
        search, augmentation = self.settings.search, self.settings.augmentation
        descent, at = self.descent, self.at
        plan = plan_epoch(self.train_split, augmentation, self._draw("images")())
        self.arcs = self.policy.propose(descent.steps, self._draw("child arcs"))
        steps = range(at.step, descent.steps)
        batches = training_batches(self.train_split, plan, augmentation, descent.spans(steps))
        for step in progress(steps, f"{descent.name} epoch {at.epoch} children", descent.steps, at.step):
            batch = descent.batch(step)
            images, labels = next(batches)
            drop_path, dropout = noise_factors(
                self.supernet,
                self.device,
                batch.size,
                self._draw("child noise", step)(),
                search.keep_prob,
                descent.keep_probs(at.epoch, step)
                if search.apply_drop_path and search.drop_path_keep_prob < 1
                else None,
                batch.part,
            )
            outputs = descent.forward(images, self.arcs[step], drop_path, dropout)
            descent.descend(at.epoch, step, outputs, labels)
            at.finish_step()
            if at.step % CHECK_EVERY == 0:
                self.require_finite()
            watch.step()
        self.require_finite()

    def train_policy(self, watch: Watch) -> None:
        """The policy's updates, each from the accuracies of several arcs, each on a validation batch of its own."""
        at = self.at
        total, arcs_each = self.update_plan
        rows = self._reward_rows()
        updates = range(at.update, total)
        for update in progress(updates, f"{self.descent.name} epoch {at.epoch} policy", total, at.update):
            arcs = self.policy.propose(arcs_each, self._draw("reward arcs", update))
            accuracies = torch.zeros(len(arcs), dtype=torch.float32, device=self.device)
            for k in self.processes.deal(len(arcs)):
                if k is not None:
                    images, labels = plain_batch(self.valid_split, rows[update, k])
                    accuracies[k] = self._accuracy(arcs[k], images, labels, self._draw("reward noise", update, k))
            self.updates.append(self._learn(arcs, self.processes.sum(accuracies).tolist()))
            at.update += 1
            at.tick()
            watch.step()

    def _reward_rows(self) -> Tensor:
        """Validation images of each reward batch [U, A, B]: one permutation after another."""
        updates, arcs = self.update_plan
        count = len(self.valid_split)
        size = min(self.settings.search.batch_size, count)
        needed = updates * arcs * size
        generator = torch.Generator().manual_seed(self._draw("reward images")())
        passes = [torch.randperm(count, generator=generator) for _ in range(-(-needed // count))]
        rows = torch.cat([*passes, torch.empty(0, dtype=torch.int64)])[:needed]
        return rows.view(updates, arcs, size).to(self.device)

    def _learn(self, arcs: Sequence[Arc], accuracies: Sequence[float]) -> Mapping[str, float]:
        try:
            return self.policy.update(arcs, accuracies)
        except FloatingPointError as error:
            raise RunError(
                f"{self.descent.name} diverged: {error} at epoch {self.at.epoch}, update {self.at.update},"
                f" learning rate {self.settings.search.controller.learning_rate:.6g},"
                f" arcs {', '.join(map(str, arcs))}; the last good state is kept"
            ) from None

    def evaluate(self, watch: Watch) -> None:
        """Validate and test freshly proposed children, add the epoch's row, and move on to the next epoch."""
        settings, descent, at = self.settings, self.descent, self.at
        valid_accuracy = self.mean_accuracy(self.valid_split, "valid", watch)
        test_accuracy = self.mean_accuracy(self.data.test, "test", watch)
        at.tick()
        train_loss, train_accuracy = descent.means()
        self.epochs.add(
            {
                "experiment": settings.experiment,
                "dataset": settings.dataset,
                "seed": self.seed,
                "epoch": at.epoch,
                "learning_rate": learning_rate(settings.search, at.epoch, 1),
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "valid_accuracy": valid_accuracy,
                "test_accuracy": test_accuracy,
                **self.policy.row(self.updates),
                "images_per_second": descent.images / at.train_seconds,
                "seconds": at.seconds,
            }
        )
        self.warn_at_chance(valid_accuracy)
        self.updates = []
        at.next_epoch()

    def warn_at_chance(self, valid_accuracy: float) -> None:
        """Say so after a quarter of the epochs when the children are still no better than a guess."""
        if self.at.epoch + 1 != -(-self.settings.search.num_epochs // 4):
            return
        chance = chance_level(self.valid_split.labels.cpu().numpy())
        if not beyond_guessing(valid_accuracy, len(self.valid_split), chance):
            log.warning(
                f"{self.descent.name}  still at chance after a quarter of its epochs: valid {valid_accuracy:.4f} where"
                f" guessing gives {chance:.4f}; if this stays so, the selected arc is a random one"
            )

    def mean_accuracy(self, split: Split, part: str, watch: Watch) -> float:
        """Mean accuracy over the batches of a split, a freshly proposed arc for each. A state that is saved meanwhile
        starts with this evaluation."""
        batches = equal_batches(len(split), self.settings.search.batch_size)
        arcs = self.policy.propose(len(batches), self._draw(f"{part} arcs"))
        accuracies = torch.zeros(len(batches), device=self.device)
        dealt = list(self.processes.deal(len(batches)))
        loaded = plain_batches(split, (batches[k] for k in dealt if k is not None))
        for k in dealt:
            if k is not None:
                images, labels = next(loaded)
                accuracies[k] = self._accuracy(arcs[k], images, labels, self._draw(f"{part} noise", k))
            watch.step()
        return float(self.processes.sum(accuracies).double().mean())

    def _accuracy(self, arc: Arc, images: Tensor, labels: Tensor, draw: Draw) -> Tensor:
        """Of a child on one batch; with dropout where the settings say so."""
        search = self.settings.search
        keep_prob = search.keep_prob if search.reward_dropout else 1.0
        _, dropout = noise_factors(self.supernet, self.device, len(labels), draw(), keep_prob)
        return child_accuracy(self.supernet, arc, images, labels, dropout)

    def _draw(self, purpose: str, *counters: int) -> Draw:
        """The draws of this epoch that are named `purpose`."""
        return draw_for(self.seed, purpose, self.at.epoch, *counters)

    def require_finite(self) -> None:
        """Raise RunError when this epoch has diverged."""
        self.descent.require_finite(self.at.epoch, self.at.step, lambda step: self.arcs[step])

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes. Raises RunError instead when a step has diverged."""
        self.require_finite()
        return {
            "descent": self.descent.state_dict(),
            "policy": self.policy.state_dict(),
            "updates": [dict(update) for update in self.updates],
            "rows": self.epochs.rows,
            "at": self.at.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.descent.load_state_dict(state["descent"])
        self.policy.load_state_dict(state["policy"])
        self.updates = state["updates"]
        self.at.load_state_dict(state["at"])
        self.epochs.load("search_epochs", state["rows"], self.at.epoch)
        log.info("%s goes on at %s", self.descent.name, self.at)
