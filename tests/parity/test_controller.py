"""The controller (`controller`): given arcs, REINFORCE updates, and how often it samples what at its start."""

from __future__ import annotations

import copy
import functools
import re
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fill import fill_controller, golden_controller
from golden import absolute, needs, read_json, read_npz, relative
from torch import Tensor

from enas_core.policies.controller import Controller, Sample
from enas_core.policies.reinforce import Reinforce
from enas_core.settings.search import Controller as ControllerSettings
from enas_core.settings.search import Search
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro

DATA, ARRAYS = read_json("controller"), read_npz("controller")
FORCED, UPDATES = DATA.get("forced", {}), DATA.get("train_nosync", [])
NUM_PARAMS = DATA.get("num_params")
FIRST_DECISION, INITIAL_OPERATIONS = DATA.get("first_decision", {}), DATA.get("op_marginal_at_original_init", {})

DTYPES = {"np64": "float64", "tf32": "float32"}
"""The precision to compare with the golden values that end in a key."""


def choices_in_order(arc: MicroArc) -> list[int]:
    """The choices in the order in which the controller takes them, unlike that of the arc's integers."""
    return [value for cell in arc.cells for n in cell for value in (n.index_1, n.index_2, n.op_1, n.op_2)]


# --- given arcs


class Forced(NamedTuple):
    """What the controller says of a given arc."""

    sums: dict[str, float]
    """`nll` and `entropy` over all decisions, and over those of each cell."""
    gradients: dict[str, Tensor]
    """The gradient of nll by weight."""
    logits: np.ndarray
    """[decisions, most choices of any], nan where a decision has fewer."""


@functools.cache
def forced(name: str, dtype: str) -> Forced:
    variant = name.split("/")[0]
    arc = MicroArc.from_integers(FORCED[name]["arc"])
    controller = golden_controller(arc.num_nodes, variant, dtype)
    sample = controller.score([arc])
    (-sample.log_prob.sum()).backward()
    sums = {"nll": -sample.log_prob.item(), "entropy": sample.entropy.item(), **sums_by_cell(sample, arc)}
    gradients = {weight: p.grad for weight, p in controller.named_parameters()}
    return Forced(sums, gradients, padded(sample.logits))


def sums_by_cell(sample: Sample, arc: MicroArc) -> dict[str, float]:
    sums = dict.fromkeys(("nll_normal", "nll_reduce", "entropy_normal", "entropy_reduce"), 0.0)
    for k, (logits, choice) in enumerate(zip(sample.logits, choices_in_order(arc), strict=True)):
        cell = "normal" if k < len(sample.logits) // 2 else "reduce"
        log_p = F.log_softmax(logits.detach()[0], 0)
        sums[f"nll_{cell}"] -= float(log_p[choice])
        sums[f"entropy_{cell}"] -= float((log_p.exp() * log_p).sum())
    return sums


def padded(logits: list[Tensor]) -> np.ndarray:
    width = max(row.shape[1] for row in logits)
    return np.stack([np.pad(row[0].detach(), (0, width - row.shape[1]), constant_values=np.nan) for row in logits])


SUM = re.compile(r"((?:nll|entropy)(?:_normal|_reduce)?)_(np64|tf32)")
SUMS = [(name, key) for name, facts in FORCED.items() for key in facts if SUM.fullmatch(key)]


@pytest.mark.parametrize(("name", "key"), SUMS)
def test_probability_and_entropy(name: str, key: str) -> None:
    quantity, ending = SUM.fullmatch(key).groups()
    assert relative(forced(name, DTYPES[ending]).sums[quantity], FORCED[name][key]) <= 1e-5


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [name for name in FORCED if f"forced/{name}/decision_logits" in ARRAYS])
def test_logits_of_decisions(name: str, dtype: str) -> None:
    assert absolute(forced(name, dtype).logits, ARRAYS[f"forced/{name}/decision_logits"]) <= 1e-5


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [name for name in FORCED if "grad_norms_tf32" in FORCED[name]])
def test_gradient_norms(name: str, dtype: str) -> None:
    for weight, norm in FORCED[name]["grad_norms_tf32"].items():
        assert relative(forced(name, dtype).gradients[weight].norm(), norm) <= 1e-5, weight


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("key", sorted(key for key in ARRAYS if "/grad_nll/" in key))
def test_gradients(key: str, dtype: str) -> None:
    name, weight = key.removeprefix("forced/").split("/grad_nll/")
    assert relative(forced(name, dtype).gradients[weight], ARRAYS[key]) <= 1e-5


# --- REINFORCE updates

REWARD_BATCH = 160


class Update(NamedTuple):
    """What one of the recorded updates was like, and the weights after it."""

    facts: dict[str, float]
    weights: dict[str, Tensor]


@functools.cache
def updates() -> list[Update]:
    """All of them, in a row, with the policy that search trains."""
    arcs = [MicroArc.from_integers(step["arc"]) for step in UPDATES]
    space = Micro(MicroSettings(num_nodes=arcs[0].num_nodes))
    reinforce = Reinforce(space, Search(), torch.Generator().manual_seed(0))
    controller = reinforce.controller
    fill_controller(controller, "formula_bias")
    found = []
    for arc, step in zip(arcs, UPDATES, strict=True):
        nll = -controller.score([arc]).log_prob.item()
        unsummed = unsummed_gradient_norm(controller, arc)
        update = reinforce.update([arc], [step["valid_correct"] / REWARD_BATCH])
        advantage = update["loss"] / nll
        facts = {
            "nll": nll,
            "entropy": update["entropy"],
            "reward": update["reward"],
            "loss": update["loss"],
            "grad_norm": abs(advantage) * unsummed,
            "baseline_after": reinforce.baseline,
        }
        weights = {name: p.detach().clone() for name, p in controller.named_parameters()}
        found.append(Update(facts, weights))
    return found


class Lookups:
    """Stands in for the embedding: every look-up gives rows with a gradient of their own."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight.detach()
        self.rows: list[Tensor] = []

    def __getitem__(self, ops: Tensor) -> Tensor:
        self.rows.append(self.weight[ops].requires_grad_())
        return self.rows[-1]


def unsummed_gradient_norm(controller: Controller, arc: MicroArc) -> float:
    """The global norm of the log-probability's gradient as the original logs it: TensorFlow's gradient of `w_emb` is a
    list of rows, one for each look-up, and the norm takes them one by one where rows repeat."""
    controller = copy.deepcopy(controller)
    lookups = Lookups(controller.w_emb)
    del controller.w_emb
    controller.w_emb = lookups
    controller.score([arc]).log_prob.sum().backward()
    leaves = [*controller.parameters(), *lookups.rows]
    return float(torch.nn.utils.get_total_norm([p.grad for p in leaves if p.grad is not None]))


FACTS = ("nll", "entropy", "reward", "loss", "grad_norm", "baseline_after")


@pytest.mark.parametrize(("step", "key"), [(k, key) for k, step in enumerate(UPDATES) for key in FACTS if key in step])
def test_update(step: int, key: str) -> None:
    assert relative(updates()[step].facts[key], UPDATES[step][key]) <= 1e-5


@pytest.mark.parametrize("key", sorted(key for key in ARRAYS if key.startswith("train_nosync/")))
def test_weights_after_update(key: str) -> None:
    number, weight = re.fullmatch(r"train_nosync/step(\d+)/(\w+)", key).groups()
    assert absolute(updates()[int(number) - 1].weights[weight], ARRAYS[key]) <= 1e-5


@pytest.mark.parametrize("step", range(len(UPDATES)))
def test_norms_of_weights_after_update(step: int) -> None:
    for weight, norm in UPDATES[step].get("weights_l2_after", {}).items():
        assert relative(updates()[step].weights[weight].norm(), norm) <= 1e-5, weight


# --- the controller at its start, and at the golden weights


def standard_errors(frequencies: list[float], p: Tensor, draws: int) -> float:
    """The largest distance of a frequency from its probability, in standard errors of so many draws."""
    distances = (p.new_tensor(frequencies) - p).abs()
    return float((distances / (p * (1 - p) / draws).sqrt()).max())


@needs(NUM_PARAMS)
def test_number_of_weights() -> None:
    controller = golden_controller(5, "init_bias", "float32")
    assert sum(p.numel() for p in controller.parameters()) == NUM_PARAMS


def first_probabilities() -> Tensor:
    """The probabilities of the first choice, between the two inputs of the normal cell, at the golden weights."""
    controller = golden_controller(5, "formula_bias", "float64")
    with torch.no_grad():
        logits = controller.sample(1, torch.Generator().manual_seed(0)).logits[0]
    return F.softmax(logits, 1)[0]


@needs(FIRST_DECISION.get("p"))
def test_first_decision() -> None:
    assert absolute(first_probabilities(), FIRST_DECISION["p"]) <= 1e-5


@pytest.mark.parametrize("key", [key for key in FIRST_DECISION if key.startswith("empirical_")])
def test_frequencies_of_first_decision(key: str) -> None:
    draws = int(key.removeprefix("empirical_"))
    assert standard_errors(FIRST_DECISION[key], first_probabilities(), draws) <= 5


@pytest.mark.parametrize("cell", INITIAL_OPERATIONS)
def test_initial_operations(cell: str) -> None:
    """The golden frequencies are of 20,000 operations, those of this project are probabilities."""
    controller = Controller(Micro(MicroSettings()), ControllerSettings(), torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = controller.sample(2_000, torch.Generator().manual_seed(0)).logits
    half = len(logits) // 2
    of_cell = {"normal": logits[:half], "reduce": logits[half:]}[cell]
    of_operations = [row for k, row in enumerate(of_cell) if k % 4 > 1]
    p = torch.stack([F.softmax(row, 1) for row in of_operations]).mean((0, 1)).double()
    assert standard_errors(INITIAL_OPERATIONS[cell], p, 20_000) <= 5
