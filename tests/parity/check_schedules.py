"""Learning rates and drop-path keep probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from golden import Case, Comparison, absolute, read_json, read_npz

from enas_core.settings.augment import Augment
from enas_core.settings.search import Search
from enas_core.training.schedule import drop_path_keep_probs, learning_rate

SECTIONS = {"search": Search, "augment": Augment}  # whose defaults hold where the file is silent


def learning_rate_cases() -> Iterator[Case]:
    facts, arrays = read_json("lr_schedule"), read_npz("lr_schedule")
    for name in sorted({*facts, *arrays} - {"arcs"}):
        yield Case(f"lr_schedule/{name}", partial(check_learning_rates, name, facts.get(name, {}), arrays.get(name)))


def check_learning_rates(name: str, facts: dict[str, Any], rates: np.ndarray | None) -> Iterator[Comparison]:
    own = {"T_0": "lr_t_0", "T_mul": "lr_t_mul", "lr_max": "lr_max", "lr_min": "lr_min"}
    training = SECTIONS.get(name, Augment)(**{own[key]: value for key, value in facts.items() if key in own})
    label = f"learning rate, {name}"
    if rates is not None:
        found = [[learning_rate(training, epoch, step) for step in range(len(row))] for epoch, row in enumerate(rates)]
        yield Comparison(f"{label}, every step", absolute(found, rates), 1e-8)
    if "steady" in facts:
        found = [learning_rate(training, epoch, 1) for epoch in range(len(facts["steady"]))]
        yield Comparison(f"{label}, by epoch", absolute(found, facts["steady"]), 1e-8)
    for epoch, rate in facts.get("first_step_at_restart", {}).items():
        yield Comparison(f"{label}, first step", absolute(learning_rate(training, int(epoch), 0), rate), 1e-8)
        corrected = training.model_copy(update={"restart_first_step_mean": False})
        yield Comparison(f"{label}, corrected", absolute(learning_rate(corrected, int(epoch), 0), training.lr_max), 0)


def drop_path_cases() -> Iterator[Case]:
    for name, facts in read_json("drop_path").items():
        if "keep_prob_by_step_then_layer" in facts:
            yield Case(f"drop_path/{name}", partial(check_drop_path, facts))


def check_drop_path(facts: dict[str, Any]) -> Iterator[Comparison]:
    training = Augment(num_layers=facts["num_layers"], drop_path_keep_prob=facts["drop_path_keep_prob"])
    total = facts["num_epochs"] * facts["steps_per_epoch"]
    found = [drop_path_keep_probs(training, step, total) for step in facts["global_steps"]]
    yield Comparison("drop-path keep probability", absolute(found, facts["keep_prob_by_step_then_layer"]), 1e-6)
