"""Recorded training steps (`train_steps`), taken with the step that search and augment take.

Only double precision can be followed through three steps: the golden weights put gradients on kinks of ReLU and max
pooling, where single precision is off by a percent whoever computes it. Runs in single precision are compared up to
the first step.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fill import OPERATORS, golden_images, golden_network, golden_supernet, network_shape
from formulas import labels
from golden import absolute, read_json, read_npz, relative
from torch import Tensor

from enas_core.settings.training import Training
from enas_core.spaces.layers import BatchNorm
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.networks import Network, Outputs, Supernet
from enas_core.training.descent import Descent
from enas_core.training.processes import ALONE

DATA, ARRAYS = read_json("train_steps"), read_npz("train_steps")
RUNS = DATA.get("runs", {})

FORWARD = {"float64": 1e-9, "float32": 1e-4}
"""The relative tolerance of what a forward pass gives."""
GRADIENT = {"float64": 1e-9, "float32": 5e-2}
"""The relative tolerance of gradients."""


def dtype_of(name: str) -> str:
    """Runs are named NETWORK/VARIANT/DTYPE."""
    return name.split("/")[2]


def compared_steps(name: str) -> range:
    return range(len(RUNS[name]["steps"]) if dtype_of(name) == "float64" else 1)


# --- what this project computes, under the names of the golden file


@functools.cache
def follow(name: str, operators: str) -> dict[str, Any]:
    """Takes the steps of a run; `aux_change`, the largest change of a weight of the auxiliary head, must be 0."""
    settings, run = DATA["settings"], RUNS[name]
    arcs = [MicroArc.from_integers(DATA["arcs"][arc]) for arc in run["arcs"]]
    logits = ARRAYS.get(f"{name}/train_logits_after3_arc0")
    num_classes = 10 if logits is None else logits.shape[1]
    x = golden_images(settings["batch"], 0, dtype_of(name))
    y = torch.from_numpy(labels(settings["batch"], num_classes))

    network = filled_network(name, arcs[0], num_classes, operators)
    descent = Descent(name, network, training_of(name), settings["batch"] * len(arcs), ALONE)
    start, aux_start = descent.sgd.values.detach().clone(), aux_weights(network)
    gradient_norms: list[dict[str, float]] = []
    step_of_sgd = descent.sgd.step

    def note_norms_and_step(learning_rate: float) -> Tensor:
        gradient_norms.append(norms_without_l2(descent))
        return step_of_sgd(learning_rate)

    descent.sgd.step = note_norms_and_step

    found: dict[str, Any] = {"steps": []}
    for step in compared_steps(name):
        outputs = outputs_of(network, x, arcs[step])
        found["steps"].append(take_step(descent, step, run["steps"][step]["lr"], outputs, y))
    found["data_grad_norm_by_group"] = gradient_norms[0]
    found["data_grad_norm"] = math.hypot(*gradient_norms[0].values())
    found["aux_change"] = absolute(aux_weights(network), aux_start)
    if dtype_of(name) == "float64":
        found |= state_after(descent, start, arcs[0], x, y)
    return found


def filled_network(name: str, arc: MicroArc, num_classes: int, operators: str) -> Network | Supernet:
    """The network of a run before its first step."""
    settings, run = DATA["settings"], RUNS[name]
    _, variant, dtype = name.split("/")
    shape = network_shape(settings["num_layers"], settings["out_filters"], num_classes, run["aux"])
    if run["network"] == "fixed":
        return golden_network(arc, shape, variant, dtype, operators)
    return golden_supernet(arc.num_nodes, shape, variant, dtype, operators)


def training_of(name: str) -> Training:
    settings, run = DATA["settings"], RUNS[name]
    return Training(
        num_epochs=1,
        batch_size=settings["batch"],
        num_layers=settings["num_layers"],
        num_filters=settings["out_filters"],
        keep_prob=settings["keep_prob"],
        l2=run["l2_reg"],
        lr_min=0.0,
        valid_images=0,
        momentum=float(np.float32(settings["momentum"])),  # the program casts its constants
        aux_head=run["aux"],
        aux_weight=settings["aux_weight"],
    )


def outputs_of(network: Network | Supernet, x: Tensor, arc: MicroArc) -> Outputs:
    return network(x, arc) if isinstance(network, Supernet) else network(x)


def aux_weights(network: Network | Supernet) -> Tensor:
    weights = [] if network.aux_head is None else network.aux_head.parameters()
    return torch.cat([torch.zeros(1), *(weight.detach().flatten() for weight in weights)])


@torch.no_grad()
def norms_without_l2(descent: Descent) -> dict[str, float]:
    """Norms by groups of weights of the gradient that the optimiser is given, which adds that of the L2 term."""
    network = descent.network
    batch_norms = {name for name, module in network.named_modules() if isinstance(module, BatchNorm)}
    squares = dict.fromkeys(("bn_scale_offset", "fc_w", "stem_conv_w", "other_w"), 0.0)
    for name, weight in network.named_parameters():
        if name.startswith("aux_head."):
            continue
        if name.rpartition(".")[0] in batch_norms:
            group = "bn_scale_offset"
        else:
            group = {"fc.weight": "fc_w", "stem.0.weight": "stem_conv_w"}.get(name, "other_w")
        squares[group] += float(weight.grad.square().sum())
    return {group: math.sqrt(square) for group, square in squares.items()}


def take_step(descent: Descent, step: int, rate: float, outputs: Outputs, y: Tensor) -> dict[str, float]:
    """What is known before a step, and what the step logs."""
    sum_w2 = float(descent.sgd.values.detach().square().sum())
    aux_logits = outputs[1]
    aux = 0.0 if aux_logits is None else float(F.cross_entropy(aux_logits.detach(), y))
    descent.training = descent.training.model_copy(update={"lr_max": rate})
    descent.descend(0, step, outputs, y)
    cross_entropy, grad_norm, hits = descent.log.values[:, step].tolist()
    return {
        "ce": cross_entropy,
        "aux_ce": aux,
        "sum_w2": sum_w2,
        "total_loss": cross_entropy + descent.training.aux_weight * aux + descent.training.l2 * sum_w2,
        "grad_norm_incl_l2": grad_norm,
        "train_correct": hits,
    }


@torch.no_grad()
def state_after(descent: Descent, start: Tensor, arc: MicroArc, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Evaluation comes first, since a pass in training mode moves the averages of batch norm."""
    values, network = descent.sgd.values, descent.network
    after = {
        "sum_w2_after": float(values.square().sum()),
        "displacement_norm_after3": float(torch.linalg.vector_norm(values - start)),
    }
    if isinstance(network, Network):
        after["eval_logits_after3_zerodebias"] = network.eval()(x)
    logits, aux_logits = outputs_of(network.train(), x, arc)
    after["train_logits_after3_arc0"] = logits
    after["ce_after3_arc0"] = float(F.cross_entropy(logits, y))
    if aux_logits is not None:
        after["aux_ce_after3_arc0"] = float(F.cross_entropy(aux_logits, y))
    return after


# --- comparisons

STEPS = [(name, step) for name in RUNS for step in compared_steps(name)]
FOLLOWED = [name for name in RUNS if dtype_of(name) == "float64"]


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize(("name", "step"), STEPS)
def test_losses(name: str, step: int, operators: str) -> None:
    found, expected = follow(name, operators)["steps"][step], RUNS[name]["steps"][step]
    for key in ("ce", "aux_ce", "sum_w2", "total_loss"):
        if expected.get(key) is not None:  # without the head there is no auxiliary loss
            assert relative(found[key], expected[key]) <= FORWARD[dtype_of(name)], key


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize(("name", "step"), STEPS)
def test_gradient_norm(name: str, step: int, operators: str) -> None:
    found, expected = follow(name, operators)["steps"][step], RUNS[name]["steps"][step]
    assert relative(found["grad_norm_incl_l2"], expected["grad_norm_incl_l2"]) <= GRADIENT[dtype_of(name)]


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize(("name", "step"), STEPS)
def test_correct_predictions(name: str, step: int, operators: str) -> None:
    found, expected = follow(name, operators)["steps"][step], RUNS[name]["steps"][step]
    if "train_correct" in expected:
        assert found["train_correct"] == expected["train_correct"]


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("name", [name for name in RUNS if "data_grad_norm" in RUNS[name]])
def test_gradient_without_l2(name: str, operators: str) -> None:
    assert relative(follow(name, operators)["data_grad_norm"], RUNS[name]["data_grad_norm"]) <= GRADIENT[dtype_of(name)]


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("name", [name for name in RUNS if "data_grad_norm_by_group" in RUNS[name]])
def test_gradient_without_l2_by_group(name: str, operators: str) -> None:
    found = follow(name, operators)["data_grad_norm_by_group"]
    for group, norm in RUNS[name]["data_grad_norm_by_group"].items():
        assert relative(found[group], norm) <= GRADIENT[dtype_of(name)], group


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("name", RUNS)
def test_auxiliary_head_is_not_trained(name: str, operators: str) -> None:
    assert follow(name, operators)["aux_change"] == 0


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("name", FOLLOWED)
def test_values_after_the_steps(name: str, operators: str) -> None:
    for key in ("sum_w2_after", "displacement_norm_after3", "ce_after3_arc0", "aux_ce_after3_arc0"):
        if RUNS[name].get(key) is not None:
            assert relative(follow(name, operators)[key], RUNS[name][key]) <= 1e-9, key


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("name", [name for name in FOLLOWED if f"{name}/train_logits_after3_arc0" in ARRAYS])
def test_logits_after_the_steps(name: str, operators: str) -> None:
    key = "train_logits_after3_arc0"
    assert relative(follow(name, operators)[key], ARRAYS[f"{name}/{key}"]) <= 1e-9


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("name", [name for name in FOLLOWED if f"{name}/eval_logits_after3_zerodebias" in ARRAYS])
def test_evaluation_logits_after_the_steps(name: str, operators: str) -> None:
    """These come from moving averages, whose decay is a float32 in the original."""
    key = "eval_logits_after3_zerodebias"
    assert relative(follow(name, operators)[key], ARRAYS[f"{name}/{key}"]) <= 1e-6
