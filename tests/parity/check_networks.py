"""Parameter counts and logits of stand-alone networks and supernets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from fill import fill_network, fill_supernet
from formulas import images
from golden import Case, Comparison, absolute, names, read_json, read_npz, relative
from torch import Tensor

from enas_core.spaces.measure import count_parameters
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.space import NetworkShape

DTYPES = ("float64", "float32")
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
MOVING_AVERAGE_TOLERANCE = {"float64": 1e-6, "float32": 1e-4}  # the original's decay is a float32


def shape_of(num_layers: int, num_filters: int, classes: int, aux_head: bool) -> NetworkShape:
    return NetworkShape(num_layers, num_filters, image_size=32, in_channels=3, num_classes=classes, aux_head=aux_head)


def build_network(
    arc: MicroArc, num_layers: int, num_filters: int, classes: int, aux_head: bool = True
) -> MicroNetwork:
    return MicroNetwork(arc, shape_of(num_layers, num_filters, classes, aux_head), bn_zero_debias=True)


def build_supernet(
    num_nodes: int, num_layers: int, num_filters: int, classes: int, aux_head: bool = True
) -> MicroSupernet:
    return MicroSupernet(shape_of(num_layers, num_filters, classes, aux_head), num_nodes, "previous")


def tensor(nhwc: np.ndarray, dtype: str) -> Tensor:
    return torch.from_numpy(nhwc.transpose(0, 3, 1, 2).astype(dtype))


# --- parameters ---------------------------------------------------------------------------------


def parameter_cases() -> Iterator[Case]:
    data = read_json("param_counts")
    arcs = {name: MicroArc.from_integers(values) for name, values in data.get("arcs", {}).items()}
    for setting, counts in data.get("settings", {}).items():
        for name, expected in counts.items():
            build = partial(build_network, arcs[name], *parse_setting(setting))
            yield Case(f"param_counts/{setting}/{name}", partial(check_parameters, "network", build, expected))
    num_nodes = next(iter(arcs.values())).num_nodes if arcs else 5
    for setting, expected in data.get("supernet", {}).items():
        build = partial(build_supernet, num_nodes, *parse_setting(setting))
        yield Case(f"param_counts/supernet/{setting}", partial(check_parameters, "supernet", build, expected))


def parse_setting(name: str) -> tuple[int, int, int]:
    """Layers, filters and classes of a name like L15_F36_classes100."""
    match = re.fullmatch(r"L(\d+)_F(\d+)(?:_classes(\d+))?", name)
    assert match, name
    layers, filters, classes = match.groups()
    return int(layers), int(filters), int(classes or 10)


def check_parameters(
    kind: str, build: Callable[[], MicroNetwork | MicroSupernet], expected: dict[str, int]
) -> Iterator[Comparison]:
    net = build()
    total, aux = count_parameters(net), count_parameters(net.aux_head)
    with_aux = expected["params"] + expected["aux_params"]
    yield Comparison(f"parameters, {kind} without auxiliary head", abs(total - aux - expected["params"]), 0)
    yield Comparison(f"parameters, {kind} with auxiliary head", abs(total - with_aux), 0)


# --- logits -------------------------------------------------------------------------------------


def logit_cases() -> Iterator[Case]:
    for kind, check in (("fixed", check_network_logits), ("supernet", check_child_logits)):
        for file in names(f"logits_{kind}_"):
            facts, arrays = read_json(file), read_npz(file)
            for case in sorted({key.rsplit("/", 1)[0] for key in arrays if key.count("/") == 2}):
                expected = {key.rsplit("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{case}/")}
                yield Case(f"{file}/{case}", partial(check, facts, arrays.get("images"), case, expected))


def batches(facts: dict[str, Any], stored: np.ndarray | None, dtype: str) -> list[Tensor]:
    """Three batches, the first as it is stored."""
    size = facts["batch"]
    first = images(size) if stored is None else stored
    return [tensor(x, dtype) for x in (first, images(size, size), images(size, 2 * size))]


def comparer(kind: str, dtype: str, expected: dict[str, np.ndarray]) -> Callable[[str, Tensor], Iterator[Comparison]]:
    def compare(key: str, logits: Tensor) -> Iterator[Comparison]:
        if f"{key}_{dtype}" in expected:
            tolerance = (MOVING_AVERAGE_TOLERANCE if "after3" in key else TOLERANCE)[dtype]
            error = relative(logits.numpy(), expected[f"{key}_{dtype}"])
            yield Comparison(f"logits, {kind}, {key}, {dtype}", error, tolerance)

    return compare


def dtypes_and_classes(expected: dict[str, np.ndarray]) -> Iterator[tuple[str, int]]:
    for dtype in DTYPES:
        logits = [value for key, value in expected.items() if key.endswith(dtype)]
        if logits:
            yield dtype, logits[0].shape[1]


class LayerOutputs:
    """Size and statistics of what stem and layers give, in order, while the context lasts."""

    def __init__(self, net: MicroNetwork | MicroSupernet) -> None:
        self.outputs: list[Tensor] = []
        self.modules = [net.stem, *net.cells]

    def __enter__(self) -> LayerOutputs:
        self.hooks = [m.register_forward_hook(lambda _, __, out: self.outputs.append(out)) for m in self.modules]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def compare(self, kind: str, expected: dict[str, np.ndarray]) -> Iterator[Comparison]:
        found = {
            "rms": [x.double().square().mean().sqrt() for x in self.outputs],
            "mean": [x.double().mean() for x in self.outputs],
            "shape": [[x.shape[0], x.shape[2], x.shape[3], x.shape[1]] for x in self.outputs],
        }
        for name, values in found.items():
            if f"train_layer_{name}" in expected:
                error = absolute(values, expected[f"train_layer_{name}"])
                yield Comparison(f"layers, {kind}, {name}", error, 0 if name == "shape" else TOLERANCE["float64"])


@torch.no_grad()
def check_network_logits(
    facts: dict[str, Any], stored: np.ndarray | None, case: str, expected: dict[str, np.ndarray]
) -> Iterator[Comparison]:
    name, variant = case.split("/")
    arc = MicroArc.from_integers(facts["arcs"][name])
    for dtype, classes in dtypes_and_classes(expected):
        compare, inputs = comparer("network", dtype, expected), batches(facts, stored, dtype)
        net = build_network(arc, facts["num_layers"], facts["out_filters"], classes)
        fill_network(net, variant == "full")
        net.to(getattr(torch, dtype)).eval()
        yield from compare("eval", net(inputs[0]))
        start = {key: value.clone() for key, value in net.state_dict().items()}

        net.train()
        with LayerOutputs(net) as layers:
            logits, aux_logits = net(inputs[0])
        yield from compare("train", logits)
        yield from compare("train_aux", aux_logits)
        if dtype == "float64":  # the precision in which they are recorded
            yield from layers.compare("network", expected)

        seen = [batch_statistics(net)]
        for batch in inputs[1:]:
            net(batch)
            seen.append(batch_statistics(net))
        yield from compare("eval_after3", net.eval()(inputs[0]))

        net.load_state_dict(start)
        net.bn_zero_debias = False
        for statistics in seen:  # batch statistics do not depend on the moving ones: no need to pass again
            for buffer, values in zip(batch_buffers(net), statistics, strict=True):
                buffer.copy_(values)
            net.move_averages()
        yield from compare("eval_after3_plainema", net(inputs[0]))


def batch_buffers(net: MicroNetwork) -> list[Tensor]:
    return [buffer for name, buffer in net.named_buffers() if name.endswith(("batch_mean", "batch_var"))]


def batch_statistics(net: MicroNetwork) -> list[Tensor]:
    return [buffer.clone() for buffer in batch_buffers(net)]


@lru_cache(maxsize=4)
def filled_supernet(
    num_nodes: int, num_layers: int, num_filters: int, classes: int, full: bool, dtype: str
) -> MicroSupernet:
    net = build_supernet(num_nodes, num_layers, num_filters, classes)
    fill_supernet(net, full)
    return net.to(getattr(torch, dtype))


@torch.no_grad()
def check_child_logits(
    facts: dict[str, Any], stored: np.ndarray | None, case: str, expected: dict[str, np.ndarray]
) -> Iterator[Comparison]:
    name, variant = case.split("/")
    arc = MicroArc.from_integers(facts["arcs"][name])
    for dtype, classes in dtypes_and_classes(expected):
        compare = comparer("supernet", dtype, expected)
        net = filled_supernet(
            arc.num_nodes, facts["num_layers"], facts["out_filters"], classes, variant == "full", dtype
        )
        with LayerOutputs(net) as layers:
            logits, aux_logits = net(batches(facts, stored, dtype)[0], arc)
        yield from compare("train", logits)
        yield from compare("train_aux", aux_logits)
        if dtype == "float64":  # the precision in which they are recorded
            yield from layers.compare("supernet", expected)
