"""Numbers behind some of the original's surprises (`quirk_checks.json`), where they say something here."""

from __future__ import annotations

import math

import pytest
import torch
from fill import golden_controller, golden_images, network_shape
from formulas import labels
from golden import absolute, needs, read_json, relative
from torch import Tensor, nn

from enas_core.settings.training import Training
from enas_core.spaces.layers import BlockConv, Packed, conv, initialise
from enas_core.spaces.micro.arc import OPS, MicroArc
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.training.descent import Descent
from enas_core.training.processes import ALONE

DATA = read_json("quirk_checks")
INITIAL = sorted(key for key in DATA if key.startswith("init_std_"))
BIAS_GRADIENT = DATA.get("grad_b_soft_init_bias_enas")
WEIGHT_GRADIENT_NORMS = DATA.get("grad_w_soft_colnorm_chain")
UNSAMPLED_CHANGE = DATA.get("unsampled_row_relative_change_in_step2")

ENAS_PAPER = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
CHAIN_IDENTITY = "0 4 1 4 2 4 2 4 3 4 3 4 4 4 4 4 5 4 5 4 0 4 1 4 2 4 2 4 3 4 3 4 4 4 4 4 5 4 5 4"


def module_of(variable: str, shape: list[int]) -> nn.Module:
    """The module whose weight the original keeps in a variable of this shape."""
    match variable:
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
            raise AssertionError(f"unknown variable {variable}")


@pytest.mark.parametrize("key", INITIAL)
def test_initial_weights(key: str) -> None:
    """Both are draws: their standard deviations agree within five sampling errors, and the largest value is just below
    the same bound of two standard deviations of the untruncated normal."""
    facts = DATA[key]
    module = module_of(key.removeprefix("init_std_"), facts["shape"])
    initialise(module, "tensorflow", torch.Generator().manual_seed(0))
    values = torch.cat([p.detach().flatten() for p in module.parameters()])
    sampling_error = 1 / math.sqrt(math.prod(facts["shape"]))
    assert relative(values.std(), facts["std"]) <= 5 * sampling_error
    assert relative(values.abs().max(), facts["max"]) <= 0.02


def gradient_of_nll(arc: str, weight: str) -> Tensor:
    """The precision is single, as in the original, where the tanh of large values is exactly 1."""
    controller = golden_controller(5, "init_bias", "float32")
    (-controller.score([MicroArc.parse(arc)]).log_prob.sum()).backward()
    return controller.get_parameter(weight).grad


@needs(BIAS_GRADIENT)
def test_bias_of_saturated_operations_gets_no_gradient() -> None:
    gradient = gradient_of_nll(ENAS_PAPER, "b_soft")[0]
    assert absolute(gradient, BIAS_GRADIENT) <= 1e-5
    assert gradient[:2].tolist() == [0, 0]


@needs(WEIGHT_GRADIENT_NORMS)
def test_weights_of_saturated_operations_get_no_gradient() -> None:
    norms = gradient_of_nll(CHAIN_IDENTITY, "w_soft").norm(dim=0)
    assert relative(norms, WEIGHT_GRADIENT_NORMS) <= 1e-5
    assert norms[:2].tolist() == [0, 0]


@needs(UNSAMPLED_CHANGE)
def test_weights_that_are_not_sampled_decay() -> None:
    """Weights that no sampled arc has used shrink by the L2 term and its momentum all the same."""
    arc = MicroArc.parse(CHAIN_IDENTITY)
    supernet = Micro(MicroSettings()).supernet(network_shape(1, 4, 10, aux_head=False))
    initialise(supernet, "tensorflow", torch.Generator().manual_seed(0))
    training = Training(
        num_epochs=1,
        batch_size=2,
        num_layers=1,
        num_filters=4,
        aux_head=False,
        keep_prob=1.0,
        l2=1e-4,
        lr_max=0.05,
        lr_min=0.0,
        valid_images=0,
    )
    descent = Descent("supernet", supernet.double(), training, 4, ALONE)
    x, y = golden_images(2, 0, "float64"), torch.from_numpy(labels(2))
    weight = supernet.cells[0].ops[0][0][OPS.index("sep_conv_3x3")][0].pointwise_1.weight
    descent.descend(0, 0, supernet(x, arc), y)
    before = weight.detach().clone()
    descent.descend(0, 1, supernet(x, arc), y)
    change = (weight.detach() / before - 1).flatten()
    assert absolute(change[: len(UNSAMPLED_CHANGE)], UNSAMPLED_CHANGE) <= 2e-7
