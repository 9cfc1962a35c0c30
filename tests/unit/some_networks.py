"""Networks for tests that make some."""

from dataclasses import replace

import torch

from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.space import NetworkShape

FACTS = {"classes": ["a", "b", "c"], "mean": [0.5], "std": [0.25], "experiment": "tiny", "test_accuracy": 0.5}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def filled(network):
    """`network` with random weights, faster than by `initialise`."""
    generator = seeded(0)
    with torch.no_grad():
        for p in network.parameters():
            p.uniform_(-0.5, 0.5, generator=generator)
    return network


SMALL = NetworkShape(num_layers=1, num_filters=4, image_size=8, in_channels=1, num_classes=3, aux_head=False)


def network_of(arc, bn_zero_debias=False, **changes):
    return filled(MicroNetwork(arc, replace(SMALL, **changes), bn_zero_debias))


def supernet_of(num_nodes, reduction_inputs="previous", **changes):
    return filled(MicroSupernet(replace(SMALL, **changes), num_nodes, reduction_inputs))


def images_of(count=4, size=8, channels=1, seed=1):
    return torch.randn(count, channels, size, size, generator=seeded(seed))


def arc_of_op(op, num_nodes=2):
    return MicroArc.from_integers([0, op, 1, op] * 2 * num_nodes)
