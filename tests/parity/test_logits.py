"""Logits of stand-alone networks and of the supernet's children, and statistics of their layers' outputs (`logits_*`).

Each array of the golden files is an entry, named ARC/VARIANT/QUANTITY_DTYPE, or ARC/VARIANT/QUANTITY where the layers'
outputs are described, which is done in float64.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from fill import OPERATORS, as_input, golden_images, golden_network, golden_supernet, network_shape
from golden import absolute, files, read_json, read_npz, relative
from torch import Tensor

from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.space import NetworkShape


class Entry(NamedTuple):
    """One array of a golden file."""

    file: str
    key: str
    arc: str
    variant: str
    quantity: str
    dtype: str

    @property
    def expected(self) -> np.ndarray:
        return read_npz(self.file)[self.key]


def name_of(entry: Entry) -> str:
    return f"{entry.file}/{entry.key}"


def entries(*quantities: str) -> list[Entry]:
    """All arrays of these quantities, of both kinds of network."""
    pattern = re.compile(rf"([^/]+)/(plain|full)/({'|'.join(quantities)})(?:_(float32|float64))?")
    all_entries = []
    for file in files("logits_fixed_") + files("logits_supernet_"):
        for key in sorted(read_npz(file)):
            if match := pattern.fullmatch(key):
                arc, variant, quantity, dtype = match.groups()
                all_entries.append(Entry(file, key, arc, variant, quantity, dtype or "float64"))
    return all_entries


LOGITS = entries("eval", "train", "train_aux")
LOGITS_AFTER_TRAINING = entries("eval_after3", "eval_after3_plainema")
LAYERS = entries("train_layer_rms", "train_layer_mean")
LAYER_SHAPES = entries("train_layer_shape")


# --- what this project computes, under the names of the quantities


def arc_and_shape(file: str, arc_name: str) -> tuple[MicroArc, NetworkShape]:
    facts = read_json(file)
    logits = [array for key, array in read_npz(file).items() if key.endswith(("float32", "float64"))]
    num_classes = logits[0].shape[1] if logits else 10
    shape = network_shape(facts["num_layers"], facts["out_filters"], num_classes)
    return MicroArc.from_integers(facts["arcs"][arc_name]), shape


def three_batches(file: str, dtype: str) -> list[Tensor]:
    """The first one is stored beside the logits; the formula gives the same images."""
    size = read_json(file)["batch"]
    stored = read_npz(file).get("images")
    first = golden_images(size, 0, dtype) if stored is None else as_input(stored, dtype)
    return [first, golden_images(size, size, dtype), golden_images(size, 2 * size, dtype)]


@contextmanager
def watched_layers(network: MicroNetwork | MicroSupernet) -> Iterator[list[Tensor]]:
    """What the stem and the layers give, in order, while the context lasts."""
    outputs: list[Tensor] = []
    layers = [network.stem, *network.cells]
    hooks = [layer.register_forward_hook(lambda _, __, output: outputs.append(output)) for layer in layers]
    yield outputs
    for hook in hooks:
        hook.remove()


def statistics(outputs: list[Tensor]) -> dict[str, list[Any]]:
    """The original's maps are [B, S, S, C], and so are the shapes that it records."""
    return {
        "train_layer_rms": [float(x.double().square().mean().sqrt()) for x in outputs],
        "train_layer_mean": [float(x.double().mean()) for x in outputs],
        "train_layer_shape": [list(x.permute(0, 2, 3, 1).shape) for x in outputs],
    }


@functools.cache
@torch.no_grad()
def network_quantities(file: str, arc_name: str, variant: str, dtype: str, operators: str) -> dict[str, Any]:
    arc, shape = arc_and_shape(file, arc_name)
    first, second, third = three_batches(file, dtype)

    network = golden_network(arc, shape, variant, dtype, operators, bn_zero_debias=True)
    quantities = {"eval": network.eval()(first)}
    with watched_layers(network.train()) as outputs:
        quantities["train"], quantities["train_aux"] = network(first)
    quantities |= statistics(outputs)
    network(second)
    network(third)
    quantities["eval_after3"] = network.eval()(first)

    network = golden_network(arc, shape, variant, dtype, operators, bn_zero_debias=False)
    for batch in (first, second, third):
        network(batch)
    quantities["eval_after3_plainema"] = network.eval()(first)
    return quantities


@functools.lru_cache(maxsize=8)  # the variants, types and operators of one size, which every arc goes through
def supernet(num_nodes: int, shape: NetworkShape, variant: str, dtype: str, operators: str) -> MicroSupernet:
    return golden_supernet(num_nodes, shape, variant, dtype, operators)


@functools.cache
@torch.no_grad()
def child_quantities(file: str, arc_name: str, variant: str, dtype: str, operators: str) -> dict[str, Any]:
    arc, shape = arc_and_shape(file, arc_name)
    network = supernet(arc.num_nodes, shape, variant, dtype, operators)
    with watched_layers(network) as outputs:
        logits, aux_logits = network(three_batches(file, dtype)[0], arc)
    return {"train": logits, "train_aux": aux_logits} | statistics(outputs)


def found(entry: Entry, operators: str) -> Any:
    """What this project computes in the place of an array."""
    quantities = network_quantities if entry.file.startswith("logits_fixed_") else child_quantities
    return quantities(entry.file, entry.arc, entry.variant, entry.dtype, operators)[entry.quantity]


# --- comparisons


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("entry", LOGITS, ids=name_of)
def test_logits(entry: Entry, operators: str) -> None:
    assert relative(found(entry, operators), entry.expected) <= {"float64": 1e-10, "float32": 1e-4}[entry.dtype]


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("entry", LOGITS_AFTER_TRAINING, ids=name_of)
def test_logits_after_training(entry: Entry, operators: str) -> None:
    """These come from moving averages, whose decay is a float32 in the original."""
    assert relative(found(entry, operators), entry.expected) <= {"float64": 1e-6, "float32": 1e-4}[entry.dtype]


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("entry", LAYERS, ids=name_of)
def test_layers(entry: Entry, operators: str) -> None:
    assert absolute(found(entry, operators), entry.expected) <= 1e-10


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("entry", LAYER_SHAPES, ids=name_of)
def test_layer_shapes(entry: Entry, operators: str) -> None:
    assert found(entry, operators) == entry.expected.tolist()
