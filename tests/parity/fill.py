"""Fills the networks and the controller of this project with the golden weights, by location."""

from __future__ import annotations

import numpy as np
import torch
from formulas import bn_params, controller_weight, conv_weight, depthwise_weight
from torch import Tensor, nn

from enas_core.policies.controller import Controller
from enas_core.settings.search import Controller as ControllerSettings
from enas_core.spaces.layers import AuxHead, BatchNorm
from enas_core.spaces.micro.arc import OPS
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.operations import FactorizedReduction, ReLUConvBN, SepConv
from enas_core.spaces.micro.supernet import MicroSupernet

STEM, CLASSIFIER, AUX = 90, 91, 92  # layers' numbers
BASE, PRE_REDUCTION, FINAL, NODES, LOOSE = 2, 3, 4, 10, 30  # blocks' numbers; what matches the inputs: 0, 1
BN = 2  # index of the batch norm behind a single convolution

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
"""Tag and amplitude of each weight."""


@torch.no_grad()
def put(target: Tensor, values: np.ndarray) -> None:
    target.copy_(torch.from_numpy(np.ascontiguousarray(values)))


class Fill:
    """`full`: non-trivial batch norms and a salt for each location; otherwise the plain variant."""

    def __init__(self, full: bool) -> None:
        self.full = full

    def salt(self, layer: int, block: int, index: int) -> int:
        return 1 + 10_000 * layer + 100 * block + index if self.full else 0

    def weight(self, weight: Tensor, layer: int, block: int, index: int, p: int = 0) -> None:
        """Of a convolution or, with two dimensions, of a fully connected layer."""
        outputs, inputs = weight.shape[:2]
        kernel = weight.shape[2] if weight.dim() == 4 else 1
        values = conv_weight(kernel, inputs, outputs, p, self.salt(layer, block, index))
        put(weight, values.transpose(3, 2, 0, 1) if weight.dim() == 4 else values[0, 0].T)

    def bn(self, bn: BatchNorm, layer: int, block: int, index: int, p: int = 0) -> None:
        if self.full:
            tensors = [bn.weight, bn.bias, *((bn.running_mean, bn.running_var) if bn.tracking else ())]
            for tensor, values in zip(tensors, bn_params(len(bn.weight), p, self.salt(layer, block, index))):  # noqa: B905
                put(tensor, values)

    def block(self, module: nn.Module, layer: int, block: int, p: int = 0) -> None:
        """An operation, what matches an input, or a factorized reduction."""
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
        """Stem, classifier and auxiliary head."""
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


def fill_network(net: MicroNetwork, full: bool) -> None:
    fill = Fill(full)
    fill.ends(net)
    for layer, cell in enumerate(net.cells):
        fill.block(cell.calibrate_older, layer, 0)
        fill.block(cell.calibrate_newer, layer, 1)
        fill.block(cell.base, layer, BASE)
        for i, op in enumerate(cell.ops):  # 2 * node + slot
            fill.block(op, layer, NODES + i)
        for i, reduction in cell.reduce_loose.items():
            fill.block(reduction, layer, LOOSE + int(i))


def fill_supernet(net: MicroSupernet, full: bool) -> None:
    fill = Fill(full)
    fill.ends(net)
    for layer, reduction in net.reduce.items():
        fill.block(reduction, int(layer), PRE_REDUCTION)
    for layer, cell in enumerate(net.cells):
        fill.block(cell.calibrate_older, layer, 0)
        fill.block(cell.calibrate_newer, layer, 1)
        for node, slots in enumerate(cell.ops):
            for slot, ops in enumerate(slots):
                for op in range(len(OPS)):
                    for p, row in enumerate(ops[op]):
                        fill.block(row, layer, NODES + 2 * node + slot, p)
        for p, block in enumerate(cell.final_conv.blocks):
            fill.weight(block, layer, FINAL, 0, p)
        fill.bn(cell.final_bn, layer, FINAL, BN)


def golden_controller(variant: str, num_nodes: int, dtype: torch.dtype) -> Controller:
    """`variant`: `formula_bias`, or `init_bias` with the original's initial `b_soft`."""
    controller = Controller(ControllerSettings(), num_nodes, torch.Generator().manual_seed(0)).to(dtype)
    for name, (tag, amplitude) in CONTROLLER_FILL.items():
        if name != "b_soft" or variant == "formula_bias":
            weight = getattr(controller, name)
            put(weight, controller_weight(*weight.shape, tag, amplitude))
    return controller
