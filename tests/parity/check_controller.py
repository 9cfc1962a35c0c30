"""The controller: decisions, probabilities and gradients of given arcs, REINFORCE steps, initial frequencies."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from fill import CONTROLLER_FILL, golden_controller
from golden import Case, Comparison, absolute, read_json, read_npz, relative
from torch import Tensor

from enas_core.policies.controller import Controller, Sample
from enas_core.policies.reinforce import Reinforce
from enas_core.settings.search import Controller as ControllerSettings
from enas_core.spaces.micro.arc import MicroArc

TOLERANCE = 1e-5
REWARD_BATCH = 160
STANDARD_ERRORS = 5.0
"""Allowed between a frequency in a golden sample and the probability that it estimates."""


def controller_cases() -> Iterator[Case]:
    data, arrays = read_json("controller"), read_npz("controller")
    for name, facts in data.get("forced", {}).items():
        yield Case(f"controller/forced/{name}", partial(check_forced, name, facts, arrays))
    if data.get("train_nosync"):
        yield Case("controller/train_nosync", partial(check_updates, data["train_nosync"], arrays))
    if "first_decision" in data:
        yield Case("controller/first_decision", partial(check_first_decision, data["first_decision"]))
    if "op_marginal_at_original_init" in data:
        yield Case("controller/op_marginal", partial(check_op_marginal, data["op_marginal_at_original_init"]))
    if "num_params" in data:
        yield Case("controller/num_params", partial(check_size, data["num_params"]))


def check_size(expected: int) -> Iterator[Comparison]:
    count = sum(p.numel() for p in golden_controller("init_bias", 5, torch.float32).parameters())
    yield Comparison("controller, parameters", abs(count - expected), 0)


def decisions(arc: MicroArc) -> list[int]:
    """Choices in the order in which they are taken."""
    return [value for cell in arc.cells for n in cell for value in (n.index_1, n.index_2, n.op_1, n.op_2)]


def by_cell(sample: Sample, arc: MicroArc) -> tuple[list[float], list[float]]:
    """Negative log-probability and entropy of the normal and the reduction cell."""
    nll, entropy = [0.0, 0.0], [0.0, 0.0]
    for k, (logits, choice) in enumerate(zip(sample.logits, decisions(arc), strict=True)):
        log_p, cell = F.log_softmax(logits.detach()[0], 0), 2 * k // len(sample.logits)
        nll[cell] -= float(log_p[choice])
        entropy[cell] -= float((log_p.exp() * log_p).sum())
    return nll, entropy


def check_forced(name: str, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> Iterator[Comparison]:
    variant = name.split("/")[0]
    arc = MicroArc.from_integers(facts["arc"])
    for dtype, ending in ((torch.float64, "np64"), (torch.float32, "tf32")):
        controller = golden_controller(variant, arc.num_nodes, dtype)
        sample = controller.score([arc])
        precision = str(dtype).removeprefix("torch.")
        (-sample.log_prob.sum()).backward()
        found = {"nll": -sample.log_prob.item(), "entropy": sample.entropy.item()}
        nll, entropy = by_cell(sample, arc)
        found |= {
            "nll_normal": nll[0],
            "nll_reduce": nll[1],
            "entropy_normal": entropy[0],
            "entropy_reduce": entropy[1],
        }
        for key, value in found.items():
            if f"{key}_{ending}" in facts:
                quantity = f"controller, {key.split('_')[0]}, {precision}"
                yield Comparison(quantity, relative(value, facts[f"{key}_{ending}"]), TOLERANCE)
        yield from check_gradients(controller, name, facts, arrays, precision)
        if f"forced/{name}/decision_logits" in arrays:
            error = absolute(padded(sample.logits), arrays[f"forced/{name}/decision_logits"])
            yield Comparison(f"controller, decision logits, {precision}", error, TOLERANCE)


def check_gradients(
    controller: Controller, name: str, facts: dict[str, Any], arrays: dict[str, np.ndarray], precision: str
) -> Iterator[Comparison]:
    for weight, norm in facts.get("grad_norms_tf32", {}).items():
        found = float(torch.linalg.vector_norm(getattr(controller, weight).grad))
        yield Comparison(f"controller, gradient norms, {precision}", relative(found, norm), TOLERANCE)
    for weight in CONTROLLER_FILL:
        if f"forced/{name}/grad_nll/{weight}" in arrays:
            error = relative(getattr(controller, weight).grad, arrays[f"forced/{name}/grad_nll/{weight}"])
            yield Comparison(f"controller, gradients, {precision}", error, TOLERANCE)


def padded(logits: list[Tensor]) -> np.ndarray:
    """[decisions, most choices], nan where a decision has fewer."""
    width = max(row.shape[1] for row in logits)
    return np.stack([np.pad(row[0].detach(), (0, width - row.shape[1]), constant_values=np.nan) for row in logits])


def check_updates(steps: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> Iterator[Comparison]:
    arcs = [MicroArc.from_integers(step["arc"]) for step in steps]
    reinforce = Reinforce(golden_controller("formula_bias", arcs[0].num_nodes, torch.float32))
    controller = reinforce.controller
    for number, (arc, facts) in enumerate(zip(arcs, steps, strict=True), 1):
        sample = controller.score([arc])
        unsummed = unsummed_gradient_norm(controller, arc)
        accuracy = facts["valid_correct"] / REWARD_BATCH
        result = reinforce.update([arc], [accuracy])
        advantage = result.loss / -sample.log_prob.item()
        found = {
            "nll": -sample.log_prob.item(),
            "entropy": result.entropy,
            "reward": result.reward,
            "loss": result.loss,
            "grad_norm": abs(advantage) * unsummed,
            "baseline_after": reinforce.baseline,
        }
        for key, value in found.items():
            if key in facts:
                yield Comparison(f"controller update, {key}", relative(value, facts[key]), TOLERANCE)
        for weight in CONTROLLER_FILL:
            values = getattr(controller, weight).detach()
            if f"train_nosync/step{number}/{weight}" in arrays:
                error = absolute(values, arrays[f"train_nosync/step{number}/{weight}"])
                yield Comparison("controller update, weights", error, TOLERANCE)
            if weight in facts.get("weights_l2_after", {}):
                error = relative(float(values.norm()), facts["weights_l2_after"][weight])
                yield Comparison("controller update, norms of weights", error, TOLERANCE)


class Lookups:
    """Stands in for the embedding: every look-up gives rows with a gradient of their own."""

    def __init__(self, weight: Tensor) -> None:
        self.weight, self.rows = weight.detach(), list[Tensor]()

    def __getitem__(self, ops: Tensor) -> Tensor:
        self.rows.append(self.weight[ops].requires_grad_())
        return self.rows[-1]


def unsummed_gradient_norm(controller: Controller, arc: MicroArc) -> float:
    """Global norm of the log-probability's gradient as the original logs it: TensorFlow's gradient of
    `w_emb` is a list of rows, one a look-up, and the norm takes them one by one where rows repeat."""
    controller = copy.deepcopy(controller)
    lookups = Lookups(controller.w_emb)
    del controller.w_emb
    controller.w_emb = lookups
    controller.score([arc]).log_prob.sum().backward()
    leaves = [*controller.parameters(), *lookups.rows]
    return float(torch.nn.utils.get_total_norm([p.grad for p in leaves if p.grad is not None]))


def check_first_decision(facts: dict[str, list[float]]) -> Iterator[Comparison]:
    """The first choice between the two inputs of the normal cell, at the golden weights."""
    controller = golden_controller("formula_bias", 5, torch.float64)
    with torch.no_grad():
        logits = controller.sample(1, torch.Generator().manual_seed(0)).logits[0]
    p = F.softmax(logits, 1)[0]
    if "p" in facts:
        yield Comparison("controller, first decision, probability", absolute(p, facts["p"]), TOLERANCE)
    for key, frequencies in facts.items():
        if key.startswith("empirical_"):
            error = standard_errors(frequencies, p.numpy(), int(key.removeprefix("empirical_")))
            yield Comparison("controller, first decision, frequency (standard errors)", error, STANDARD_ERRORS)


def check_op_marginal(facts: dict[str, list[float]]) -> Iterator[Comparison]:
    """How often each operation is sampled at the initial weights; the counts behind the golden frequencies are
    multiples of 1/20,000."""
    controller = Controller(ControllerSettings(), 5, torch.Generator().manual_seed(0))
    with torch.no_grad():
        sample = controller.sample(2_000, torch.Generator().manual_seed(0))
    for cell, name in enumerate(("normal", "reduce")):
        logits = [row for k, row in enumerate(sample.logits) if k // 20 == cell and k % 4 > 1]
        p = torch.stack([F.softmax(row, 1) for row in logits]).mean((0, 1)).double()
        error = standard_errors(facts[name], p.numpy(), 20_000)
        yield Comparison("controller, initial operations, frequency (standard errors)", error, STANDARD_ERRORS)


def standard_errors(frequencies: list[float], p: np.ndarray, count: int) -> float:
    """Largest distance of a frequency from its probability, in standard errors of `count` draws."""
    return float((np.abs(np.asarray(frequencies) - p) / np.sqrt(p * (1 - p) / count)).max())
