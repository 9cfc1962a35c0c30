"""Builds the networks and the controller of this project with the golden weights.

`tests/golden/README.md`, section "Weights", says which tensor gets which values. `variant` is `plain` or `full` for
networks, `formula_bias` or `init_bias` for the controller; `dtype` is the name of a torch type.

Weights of convolutions are [O, I, k, k] here and [k, k, I, O] in the formulas: O output channels, I input channels,
k the kernel's side.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from formulas import bn_params, controller_weight, conv_weight, depthwise_weight, images
from torch import Tensor, nn

from enas_core.policies.controller import Controller
from enas_core.settings.search import Controller as ControllerSettings
from enas_core.spaces.layers import AuxHead, BatchNorm
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.operations import FactorizedReduction, ReLUConvBN, SepConv
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.networks import TORCH
from enas_core.spaces.space import NetworkShape
from enas_core.training.compilation import FUSED, fuse

OPERATORS = [
    TORCH,
    pytest.param(FUSED, marks=pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")),
]
"""Whose operators compute the networks: both must agree with the original."""

STEM, CLASSIFIER, AUX = 90, 91, 92
"""The numbers of these layers."""
OLDER, NEWER, BASE, PRE_REDUCTION, FINAL, NODES, LOOSE = 0, 1, 2, 3, 4, 10, 30
"""The numbers of blocks, or of the first of their kind. `OLDER` and `NEWER` calibrate a cell's inputs."""
BN = 2
"""The index of the batch norm behind a single convolution."""

CONTROLLER_FILL = {
    "w_lstm": (1, 0.3),
    "g_emb": (2, 1.0),
    "w_emb": (3, 1.0),
    "w_soft": (4, 0.5),
    "b_soft": (5, 1.0),
    "w_attn_1": (6, 0.3),
    "w_attn_2": (7, 0.3),
    "v_attn": (8, 0.5),
}
"""The tag and the amplitude of each weight of the controller."""


@torch.no_grad()
def put(target: Tensor, values: np.ndarray) -> None:
    target.copy_(torch.from_numpy(np.ascontiguousarray(values)))


class Fill:
    """Fills tensors by their layer, block and index. The full variant has non-trivial batch norms and a salt for each
    location."""

    def __init__(self, variant: str) -> None:
        assert variant in ("plain", "full"), variant
        self.full = variant == "full"

    def salt(self, layer: int, block: int, index: int) -> int:
        return 1 + 10_000 * layer + 100 * block + index if self.full else 0

    def weight(self, weight: Tensor, layer: int, block: int, index: int, p: int = 0) -> None:
        """The weight of a convolution or, with two dimensions, of a fully connected layer."""
        outputs, inputs = weight.shape[:2]
        kernel = weight.shape[2] if weight.dim() == 4 else 1
        values = conv_weight(kernel, inputs, outputs, p, self.salt(layer, block, index))
        put(weight, values.transpose(3, 2, 0, 1) if weight.dim() == 4 else values[0, 0].T)

    def bn(self, bn: BatchNorm, layer: int, block: int, index: int, p: int = 0) -> None:
        if not self.full:
            return
        scale, offset, mean, variance = bn_params(len(bn.weight), p, self.salt(layer, block, index))
        put(bn.weight, scale)
        put(bn.bias, offset)
        if bn.tracking:
            put(bn.running_mean, mean)
            put(bn.running_var, variance)

    def block(self, module: nn.Module, layer: int, block: int, p: int = 0) -> None:
        """An operation, a calibration of an input, or a factorized reduction."""
        match module:
            case ReLUConvBN():
                self.weight(module.conv.weight, layer, block, 0, p)
                self.bn(module.bn, layer, block, BN, p)
            case FactorizedReduction():
                self.weight(module.path_1.weight, layer, block, 0, p)
                self.weight(module.path_2.weight, layer, block, 1, p)
                self.bn(module.bn, layer, block, BN, p)
            case SepConv():
                first = {3: 10, 5: 20}[module.kernel]
                stacks = (
                    (first, module.depthwise_1, module.pointwise_1, module.bn_1),
                    (first + 3, module.depthwise_2, module.pointwise_2, module.bn_2),
                )
                for index, depthwise, pointwise, bn in stacks:
                    channels = len(depthwise.weight)
                    values = depthwise_weight(module.kernel, channels, p, self.salt(layer, block, index))
                    put(depthwise.weight, values.transpose(2, 0, 1)[:, None])
                    self.weight(pointwise.weight, layer, block, index + 1, p)
                    self.bn(bn, layer, block, index + 2, p)
            case _:
                assert not list(module.parameters())

    def ends(self, net: MicroNetwork | MicroSupernet) -> None:
        """What both kinds of network have: stem, classifier and auxiliary head."""
        stem, bn = net.stem
        self.weight(stem.weight, STEM, 0, 0)
        self.bn(bn, STEM, 0, BN)
        self.weight(net.fc.weight, CLASSIFIER, 0, 0)
        if net.aux_head is not None:
            self.aux(net.aux_head)

    def aux(self, head: AuxHead) -> None:
        self.weight(head.conv_1.weight, AUX, 0, 0)
        self.bn(head.bn_1, AUX, 0, BN)
        self.weight(head.conv_2.weight, AUX, 1, 0)
        self.bn(head.bn_2, AUX, 1, BN)
        self.weight(head.fc.weight, AUX, 2, 0)


def fill_network(net: MicroNetwork, variant: str) -> None:
    fill = Fill(variant)
    fill.ends(net)
    for layer, cell in enumerate(net.cells):
        fill.block(cell.calibrate_older, layer, OLDER)
        fill.block(cell.calibrate_newer, layer, NEWER)
        fill.block(cell.base, layer, BASE)
        for position, op in enumerate(cell.ops):  # 2 * node + slot
            fill.block(op, layer, NODES + position)
        for index, reduction in cell.reduce_loose.items():
            fill.block(reduction, layer, LOOSE + int(index))


def fill_supernet(net: MicroSupernet, variant: str) -> None:
    fill = Fill(variant)
    fill.ends(net)
    for layer, reduction in net.reduce.items():
        fill.block(reduction, int(layer), PRE_REDUCTION)
    for layer, cell in enumerate(net.cells):
        fill.block(cell.calibrate_older, layer, OLDER)
        fill.block(cell.calibrate_newer, layer, NEWER)
        for node, slots in enumerate(cell.ops):
            for slot, choices in enumerate(slots):
                for rows in choices:  # one an operation
                    for p, row in enumerate(rows):
                        fill.block(row, layer, NODES + 2 * node + slot, p)
        for p, block in enumerate(cell.final_conv.blocks):
            fill.weight(block, layer, FINAL, 0, p)
        fill.bn(cell.final_bn, layer, FINAL, BN)


def fill_controller(controller: Controller, variant: str) -> None:
    """The variant `init_bias` keeps the original's initial `b_soft`."""
    assert variant in ("formula_bias", "init_bias"), variant
    for name, (tag, amplitude) in CONTROLLER_FILL.items():
        if name != "b_soft" or variant == "formula_bias":
            weight = controller.get_parameter(name)
            put(weight, controller_weight(*weight.shape, tag, amplitude))


def network_shape(num_layers: int, num_filters: int, num_classes: int, aux_head: bool = True) -> NetworkShape:
    """The shape of a network for the golden images."""
    return NetworkShape(num_layers, num_filters, 32, in_channels=3, num_classes=num_classes, aux_head=aux_head)


def golden_network(
    arc: MicroArc, shape: NetworkShape, variant: str, dtype: str, operators: str, bn_zero_debias: bool = True
) -> MicroNetwork:
    network = Micro(MicroSettings(num_nodes=arc.num_nodes)).network(arc, shape, bn_zero_debias)
    fill_network(network, variant)
    choose(operators, network)
    return network.to(getattr(torch, dtype))


def golden_supernet(num_nodes: int, shape: NetworkShape, variant: str, dtype: str, operators: str) -> MicroSupernet:
    supernet = Micro(MicroSettings(num_nodes=num_nodes)).supernet(shape)
    fill_supernet(supernet, variant)
    choose(operators, supernet)
    return supernet.to(getattr(torch, dtype))


def choose(operators: str, network: MicroNetwork | MicroSupernet) -> None:
    """Make a network use the operators that are asked for."""
    if operators == FUSED:
        fuse(network)
    assert network.operators == operators


def golden_controller(num_nodes: int, variant: str, dtype: str) -> Controller:
    space = Micro(MicroSettings(num_nodes=num_nodes))
    controller = Controller(space, ControllerSettings(), torch.Generator().manual_seed(0))
    fill_controller(controller, variant)
    return controller.to(getattr(torch, dtype))


def golden_images(batch: int, first: int, dtype: str) -> Tensor:
    """Images number `first` and up, as this project's networks take them."""
    return as_input(images(batch, first), dtype)


def as_input(nhwc: np.ndarray, dtype: str) -> Tensor:
    return torch.from_numpy(nhwc.transpose(0, 3, 1, 2).astype(dtype))
