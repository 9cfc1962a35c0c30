"""Learning rates (`lr_schedule`) and drop path's keep probabilities (`drop_path.json`)."""

from __future__ import annotations

import pytest
from golden import absolute, read_json, read_npz

from enas_core.settings.augment import Augment
from enas_core.settings.search import Search
from enas_core.settings.training import Training
from enas_core.training.schedule import drop_path_keep_probs, learning_rate

RATES, FACTS = read_npz("lr_schedule"), read_json("lr_schedule")
EVERY_STEP = sorted(RATES)
BY_EPOCH = [name for name, facts in FACTS.items() if "steady" in facts]
FIRST_STEPS = [(name, epoch) for name, facts in FACTS.items() for epoch in facts.get("first_step_at_restart", {})]

DROP_PATH = {name: facts for name, facts in read_json("drop_path").items() if "keep_prob_by_step_then_layer" in facts}


def training_named(name: str) -> Training:
    """The settings of a schedule. Where the file says nothing, the defaults of that stage hold."""
    stage = Search if name == "search" else Augment
    facts = FACTS.get(name, {})
    keys = {"T_0": "lr_t_0", "T_mul": "lr_t_mul", "lr_max": "lr_max", "lr_min": "lr_min"}
    return stage(**{ours: facts[theirs] for theirs, ours in keys.items() if theirs in facts})


@pytest.mark.parametrize("name", EVERY_STEP)
def test_learning_rate_of_every_step(name: str) -> None:
    training, epochs, steps = training_named(name), *RATES[name].shape
    found = [[learning_rate(training, epoch, step) for step in range(steps)] for epoch in range(epochs)]
    assert absolute(found, RATES[name]) <= 1e-8


@pytest.mark.parametrize("name", BY_EPOCH)
def test_learning_rate_by_epoch(name: str) -> None:
    """All steps of an epoch but the first have the same rate."""
    training, expected = training_named(name), FACTS[name]["steady"]
    found = [learning_rate(training, epoch, 1) for epoch in range(len(expected))]
    assert absolute(found, expected) <= 1e-8


@pytest.mark.parametrize(("name", "epoch"), FIRST_STEPS)
def test_first_step_of_a_restart(name: str, epoch: str) -> None:
    """The original gives it the mean of both ends of the schedule; corrected, it gets the upper one."""
    training = training_named(name)
    assert absolute(learning_rate(training, int(epoch), 0), FACTS[name]["first_step_at_restart"][epoch]) <= 1e-8
    corrected = training.model_copy(update={"restart_first_step_mean": False})
    assert learning_rate(corrected, int(epoch), 0) == training.lr_max


@pytest.mark.parametrize("name", DROP_PATH)
def test_drop_path_keep_probabilities(name: str) -> None:
    facts = DROP_PATH[name]
    final, depth = facts["drop_path_keep_prob"], facts["num_layers"] + 2
    total_steps = facts["num_epochs"] * facts["steps_per_epoch"]
    found = [drop_path_keep_probs(final, depth, step, total_steps) for step in facts["global_steps"]]
    assert absolute(found, facts["keep_prob_by_step_then_layer"]) <= 1e-6
