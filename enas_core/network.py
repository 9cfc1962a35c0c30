"""The stand-alone network of one arc: what augment trains and what users load.

`load("results/cifar10/final.pt")` gives a trained network in evaluation mode.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from enas_core import arc as arcs
from enas_core.arc import Arc
from enas_core.ops import (
    BN_DECAY,
    AuxHead,
    BatchNorm,
    Classifier,
    FactorizedReduction,
    ReLUConvBN,
    SepConv,
    build_op,
    concatenate,
    conv,
)
from enas_core.tables import write_bytes

FILE_FORMAT = 1


class Shape(NamedTuple):
    """Channels and side of a square feature map."""

    channels: int
    size: int


def reduction_layers(num_layers: int) -> tuple[int, int]:
    """Positions of the two reduction cells among the num_layers + 2 layers."""
    return num_layers // 3, 2 * (num_layers // 3) + 1


def calibration(older: Shape, newer: Shape, channels: int, tracking: bool) -> tuple[nn.Module, nn.Module]:
    """What brings a cell's two inputs to one size and to `channels` channels."""
    first: nn.Module = nn.Identity()
    if older.size != newer.size:
        first = FactorizedReduction(older.channels, channels, tracking, relu=True)
    elif older.channels != channels:
        first = ReLUConvBN(older.channels, channels, tracking)
    second = ReLUConvBN(newer.channels, channels, tracking) if newer.channels != channels else nn.Identity()
    return first, second


class Cell(nn.Module):
    """One layer: the nodes of a cell and the concatenation of the states that no node reads."""

    def __init__(self, nodes: arcs.Cell, older: Shape, newer: Shape, channels: int, reduction: bool) -> None:
        super().__init__()
        self.nodes, self.loose = nodes, arcs.loose_ids(nodes)
        self.calibrate_older, self.calibrate_newer = calibration(older, newer, channels, tracking=True)
        self.base = ReLUConvBN(channels, channels, tracking=True)
        self.ops = nn.ModuleList()
        for node in nodes:
            for index, op in ((node.index_1, node.op_1), (node.index_2, node.op_2)):
                self.ops.append(build_op(op, channels, 2 if reduction and index < 2 else 1, tracking=True))
        self.reduce_loose = nn.ModuleDict(
            {
                str(i): FactorizedReduction(channels, channels, tracking=True, relu=False)
                for i in self.loose
                if reduction and i < 2
            }
        )
        self.shape = Shape(channels * len(self.loose), -(-newer.size // 2) if reduction else newer.size)

    def forward(self, older: Tensor, newer: Tensor, drop_path: Tensor | None) -> Tensor:
        states = States([self.calibrate_older(older), self.base(self.calibrate_newer(newer))])
        for i, node in enumerate(self.nodes):
            outputs = []
            for slot, (index, op) in enumerate(((node.index_1, node.op_1), (node.index_2, node.op_2))):
                y = states.apply(self.ops[2 * i + slot], index)
                if drop_path is not None and arcs.OPS[op] != "identity":
                    y = y * drop_path[:, i, slot, None, None, None].to(y.dtype)
                outputs.append(y)
            states.append(outputs[0] + outputs[1])
        loose = [self.reduce_loose[str(i)](states[i]) if str(i) in self.reduce_loose else states[i] for i in self.loose]
        return concatenate(loose)


class States(list[Tensor]):
    """A cell's states by id, and the ReLU of those that a separable convolution reads, made once."""

    def __init__(self, inputs: list[Tensor]) -> None:
        super().__init__(inputs)
        self._relu: dict[int, Tensor] = {}

    def apply(self, op: nn.Module, index: int) -> Tensor:
        """`op` of state `index`."""
        if not isinstance(op, SepConv):
            return op(self[index])
        if index not in self._relu:
            self._relu[index] = F.relu(self[index])
        return op(self._relu[index])


class Network(nn.Module):
    """Stem, num_layers normal and two reduction cells, classifier, optional auxiliary head.

    A loaded network also has `classes`, `mean`, `std` (per channel, of pixels in 0..1), `experiment` and
    `test_accuracy`."""

    classes: list[str]
    mean: list[float]
    std: list[float]
    experiment: str
    test_accuracy: float

    def __init__(
        self,
        arc: Arc,
        *,
        num_layers: int,
        num_filters: int,
        image_size: int,
        in_channels: int,
        num_classes: int,
        aux_head: bool,
        bn_zero_debias: bool = False,
    ) -> None:
        super().__init__()
        self.arc, self.num_nodes, self.bn_zero_debias = arc, arc.num_nodes, bn_zero_debias
        self.settings = {
            "num_layers": num_layers,
            "num_filters": num_filters,
            "image_size": image_size,
            "in_channels": in_channels,
            "num_classes": num_classes,
            "aux_head": aux_head,
            "bn_zero_debias": bn_zero_debias,
        }
        self.stem = nn.Sequential(conv(in_channels, 3 * num_filters, 3), BatchNorm(3 * num_filters, tracking=True))
        reductions, channels = reduction_layers(num_layers), num_filters
        older = newer = Shape(3 * num_filters, image_size)
        self.cells = nn.ModuleList()
        for layer in range(num_layers + 2):
            reduction = layer in reductions
            channels *= 2 if reduction else 1
            cell = Cell(arc.reduction if reduction else arc.normal, older, newer, channels, reduction)
            older, newer = newer, cell.shape
            self.cells.append(cell)
        self.aux_layer = reductions[1] + 1
        aux_shape = self.cells[self.aux_layer].shape
        self.aux_head = AuxHead(*aux_shape, num_classes) if aux_head else None
        self.num_features = newer.channels
        self.fc = Classifier(newer.channels, num_classes)
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))
        self._norms = tuple(m for m in self.modules() if isinstance(m, BatchNorm) and m.tracking)

    def forward(
        self, images: Tensor, drop_path: Tensor | None = None, dropout: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Logits [batch, classes] of normalised images [batch, channels, size, size]; in training mode also
        the auxiliary logits, or None without the head.

        `drop_path` [batch, num_layers + 2, nodes, 2] and `dropout` [batch, num_features] are factors: 0, or
        1 / keep probability."""
        older = newer = self.stem(images)
        aux_logits = None
        for layer, cell in enumerate(self.cells):
            older, newer = newer, cell(older, newer, None if drop_path is None else drop_path[:, layer])
            if self.training and self.aux_head is not None and layer == self.aux_layer:
                aux_logits = self.aux_head(newer)
        features = F.relu(newer).mean((2, 3))
        logits = self.fc(features if dropout is None else features * dropout)
        if not self.training:
            return logits
        self._move_averages()
        return logits, aux_logits

    @torch.no_grad()
    def _move_averages(self) -> None:
        """Moving statistics of all batch norms. Zero-debiased, they weigh the n-th batch by
        0.1 / (1 - 0.9^n), so that the initial values have no part."""
        self.num_updates += 1
        weight: Tensor | float = 1 - BN_DECAY
        if self.bn_zero_debias:
            weight = weight / (1 - BN_DECAY ** self.num_updates.to(self.fc.weight.dtype))
        moving = [t for bn in self._norms for t in (bn.running_mean, bn.running_var)]
        batch = [t for bn in self._norms for t in (bn.batch_mean, bn.batch_var)]
        if not self._norms[0].synced:
            batch = self._norms[0].processes.mean(batch)
        change = torch._foreach_sub(batch, moving)
        torch._foreach_mul_(change, weight)
        torch._foreach_add_(moving, change)


def count_parameters(module: nn.Module | None) -> int:
    """Trainable values; 0 for None."""
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def count_macs(module: nn.Module, in_channels: int, image_size: int, *arguments: Any) -> int:
    """Multiply-accumulates of convolutions and matrix products for one image, on the meta device, without
    auxiliary head; `arguments` are passed on to `module` behind the images."""
    training = module.training
    module.eval()
    images = torch.empty(2, in_channels, image_size, image_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(images, *arguments)
    module.train(training)
    return counter.get_total_flops() // 4  # two images, two FLOPs a multiply-accumulate


def save(path: Path, network: Network, facts: dict[str, Any]) -> None:
    """Write `network` with `facts` (classes, mean, std, experiment, test_accuracy, ...) atomically."""
    content = {
        "format": FILE_FORMAT,
        "arc": str(network.arc),
        "network": network.settings,
        "state_dict": {name: value.detach().cpu() for name, value in network.state_dict().items()},
        **facts,
    }
    write_torch_file(path, content)


def write_torch_file(path: Path, content: dict[str, Any]) -> None:
    """`torch.save`, atomically. By way of memory, since torch does not say which error a full disk is."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getbuffer())


def read_torch_file(path: Path, what: str, file_format: int) -> dict[str, Any]:
    """Content of a `torch.save` file, which cannot execute code. Raises ValueError, one line, when it is not a
    file of `what` in this format."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of the form of a pickle: if it matters, it raises
            content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except Exception:  # whatever torch finds wrong with the bytes
        raise ValueError(f"{path}: not a {what} file, or corrupt (Python objects are never loaded)") from None
    found = content.get("format") if isinstance(content, dict) else None
    if type(found) is not int or found != file_format:
        raise ValueError(f"{path}: {what} file of format {found!r}, this version reads format {file_format}")
    return content


def load(path: str | Path) -> Network:
    """A trained network in evaluation mode. Raises ValueError, one line, when `path` holds none."""
    content = read_torch_file(Path(path), "network", FILE_FORMAT)
    with _complete(Path(path)):
        network = Network(Arc.parse(content["arc"]), **content["network"])
        network.load_state_dict(content["state_dict"])
        for name in ("classes", "mean", "std", "experiment", "test_accuracy"):
            setattr(network, name, content[name])
        _check_facts(network)
    return network.eval()


def load_untrained(path: Path) -> Network:
    """The network of a file without values, on the meta device. Raises ValueError as `load` does."""
    content = read_torch_file(path, "network", FILE_FORMAT)
    with _complete(path), torch.device("meta"):
        return Network(Arc.parse(content["arc"]), **content["network"])


@contextmanager
def _complete(path: Path) -> Iterator[None]:
    """What goes wrong when a network is made from a file of the right format becomes one line."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise ValueError(f"{path}: incomplete network file: {' '.join(str(error).split())[:150]}") from None


def _check_facts(network: Network) -> None:
    """Raises ValueError unless classes, mean and deviation are those of such a network."""
    for name, kind, length in (
        ("classes", str, network.settings["num_classes"]),
        ("mean", float, network.settings["in_channels"]),
        ("std", float, network.settings["in_channels"]),
    ):
        found = getattr(network, name)
        if not (isinstance(found, list) and len(found) == length and all(type(item) is kind for item in found)):
            raise ValueError(f"{name}: not a list of {length} {kind.__name__}")
