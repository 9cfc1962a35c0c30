"""Numbers behind some of the original's surprises (`quirk_checks.json`), where they say something here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from check_networks import build_supernet, tensor
from check_training import Run
from fill import golden_controller
from formulas import images, labels
from golden import Case, Comparison, absolute, read_json, relative
from torch import Tensor, nn

from enas_core.settings.search import Search
from enas_core.spaces.layers import BlockConv, Packed, conv, initialise
from enas_core.spaces.micro.arc import OPS, MicroArc

ENAS_PAPER = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
CHAIN_IDENTITY = "0 4 1 4 2 4 2 4 3 4 3 4 4 4 4 4 5 4 5 4 0 4 1 4 2 4 2 4 3 4 3 4 4 4 4 4 5 4 5 4"


def build_initialised(name: str, shape: list[int]) -> nn.Module:
    """The module whose weight the original keeps in a variable of this shape."""
    match name:
        case "conv" | "stem":
            return conv(shape[2], shape[3], shape[0])
        case "depth":
            return conv(shape[2], shape[2], shape[0], groups=shape[2])
        case "fc":
            return nn.Linear(*shape, bias=False)
        case "final_conv":  # rows of F x F blocks
            return BlockConv(shape[0], math.isqrt(shape[1]))
        case "sup_depth":  # rows of 5 x 5 x F
            channels = shape[1] // 25
            return Packed(conv(channels, channels, 5, groups=channels) for _ in range(shape[0]))
        case "sup_point":  # rows of F x F
            channels = math.isqrt(shape[1])
            return Packed(conv(channels, channels, 1) for _ in range(shape[0]))
        case _:
            raise AssertionError(f"unknown variable {name}")


def quirk_cases() -> Iterator[Case]:
    data = read_json("quirk_checks")
    for key in sorted(data):
        if key.startswith("init_std_"):
            yield Case(f"quirk_checks/{key}", partial(check_initial, key.removeprefix("init_std_"), data[key]))
    for key, check in CHECKS.items():
        if key in data:
            yield Case(f"quirk_checks/{key}", partial(check, data[key]))


def check_initial(name: str, facts: dict[str, Any]) -> Iterator[Comparison]:
    """Both are draws: their standard deviations agree within sampling error, and the largest value is just
    below the same bound of two standard deviations of the untruncated normal."""
    module = build_initialised(name, facts["shape"])
    initialise(module, "tensorflow", torch.Generator().manual_seed(0))
    values = torch.cat([p.detach().flatten() for p in module.parameters()])
    count = math.prod(facts["shape"])
    error = relative(float(values.std()), facts["std"])
    yield Comparison("initial weights, standard deviation (sampling errors)", error * math.sqrt(count), 5.0)
    yield Comparison("initial weights, largest", relative(float(values.abs().max()), facts["max"]), 0.02)


def nll_gradients(arc: str) -> dict[str, Tensor]:
    """In single precision, as in the original: its tanh of large values is exactly 1."""
    controller = golden_controller("init_bias", 5, torch.float32)
    (-controller.score([MicroArc.parse(arc)]).log_prob.sum()).backward()
    return {name: p.grad for name, p in controller.named_parameters()}


def check_bias_gradient(expected: list[float]) -> Iterator[Comparison]:
    gradient = nll_gradients(ENAS_PAPER)["b_soft"][0]
    yield Comparison("saturated operations, gradient of b_soft", absolute(gradient, expected), 1e-5)
    yield Comparison("saturated operations, their own gradient", float(gradient[:2].abs().max()), 0)


def check_weight_gradient(expected: list[float]) -> Iterator[Comparison]:
    gradient = nll_gradients(CHAIN_IDENTITY)["w_soft"].norm(dim=0)
    yield Comparison("saturated operations, gradient of w_soft", relative(gradient, expected), 1e-5)
    yield Comparison("saturated operations, their own gradient", float(gradient[:2].abs().max()), 0)


def check_unsampled(expected: list[float]) -> Iterator[Comparison]:
    """Weights that no sampled arc has used shrink by the L2 term and its momentum all the same."""
    search = Search(num_epochs=1, batch_size=2, keep_prob=1.0, num_layers=1, num_filters=4, aux_head=False)
    arc = MicroArc.parse(CHAIN_IDENTITY)
    supernet = build_supernet(5, 1, 4, 10, aux_head=False)
    initialise(supernet, "tensorflow", torch.Generator().manual_seed(0))
    run = Run(supernet.double(), search, [arc, arc])
    x, y = tensor(images(2), "float64"), torch.from_numpy(labels(2))
    weight = supernet.cells[0].ops[0][0][OPS.index("sep_conv_3x3")][0].pointwise_1.weight
    run.step_at(0, 0.05, x, y)
    before = weight.detach().clone()
    run.step_at(1, 0.05, x, y)
    change = (weight.detach() / before - 1).flatten()[: len(expected)]
    yield Comparison("change of weights that are not sampled", absolute(change, expected), 2e-7)


CHECKS: dict[str, Callable[[Any], Iterator[Comparison]]] = {
    "grad_b_soft_init_bias_enas": check_bias_gradient,
    "grad_w_soft_colnorm_chain": check_weight_gradient,
    "unsampled_row_relative_change_in_step2": check_unsampled,
}
