"""What each job will take, from what the calibration has measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from enas_core.planning.calibrate import Cost
from enas_core.policies import policy_class
from enas_core.settings.dataset import DatasetFacts
from enas_core.settings.experiment import Experiment
from enas_core.training.schedule import steps_per_epoch


def typical(costs: Sequence[Cost]) -> Cost:
    """The medians, but of memory the most."""
    return Cost(
        start=statistics.median(cost.start for cost in costs),
        step=statistics.median(cost.step for cost in costs),
        forward=statistics.median(cost.forward for cost in costs),
        once=statistics.median(cost.once for cost in costs),
        memory=max(cost.memory for cost in costs),
        device=costs[0].device,
    )


def search_seconds(experiment: Experiment, images: DatasetFacts, cost: Cost) -> float:
    """Of one search: steps, rewards and updates of the policy, validation and test of each epoch."""
    search = experiment.search
    steps = steps_per_epoch(search.trained_images(images.train_images), search.batch_size)
    evaluations = sum(steps_per_epoch(n, search.batch_size) for n in (search.valid_images, images.test_images))
    updates, arcs = policy_class(search.policy).plan(search)
    rewards = updates * arcs
    epoch = steps * cost.step + (rewards + evaluations) * cost.forward + updates * cost.once
    return cost.start + search.num_epochs * epoch


def scoring_seconds(experiment: Experiment, cost: Cost, arcs: int) -> float:
    """Of scoring so many arcs on the validation images."""
    batches = steps_per_epoch(experiment.search.valid_images, experiment.search.batch_size)
    return cost.start + arcs * (cost.once + batches * cost.forward)


def augment_seconds(experiment: Experiment, images: DatasetFacts, cost: Cost) -> float:
    """Of one training, with the evaluation of test and held-out images after each epoch."""
    augment = experiment.augment
    steps = steps_per_epoch(augment.trained_images(images.train_images), augment.batch_size)
    evaluations = sum(steps_per_epoch(n, augment.batch_size) for n in (augment.valid_images, images.test_images))
    return cost.start + augment.num_epochs * (steps * cost.step + evaluations * cost.forward)


STAGE_OF = {
    "search": "search",
    "select_arc": "select_arc",
    "try_strategy": "select_arc",
    "score_arcs": "select_arc",
    "augment": "augment",
}
"""The rules whose jobs hold a device, and the stage that is measured for each."""


def job_seconds(rule: str, experiment: Experiment, images: DatasetFacts, cost: Cost) -> float:
    """Estimated seconds of one job of a rule of `STAGE_OF`. `images` are those that the experiment uses."""
    if rule == "search":
        return search_seconds(experiment, images, cost)
    if rule == "augment":
        return augment_seconds(experiment, images, cost)
    baselines = experiment.baseline.num_arcs + len(experiment.arcs)
    return scoring_seconds(experiment, cost, baselines if rule == "score_arcs" else experiment.select.num_candidates)
