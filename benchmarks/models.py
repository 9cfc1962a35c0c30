"""Both networks and the yardstick's, with the original's settings, ready for a step on random images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import yardstick
from torch import Tensor

from enas_core.data.prepared import Split
from enas_core.fields import all_defaults
from enas_core.policies.reinforce import Reinforce
from enas_core.settings.augment import Augment
from enas_core.settings.search import Search
from enas_core.settings.stages import SelectArcStage
from enas_core.spaces.layers import initialise
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.networks import Supernet
from enas_core.spaces.space import NetworkShape
from enas_core.training.compilation import FUSED, fuse
from enas_core.training.evaluation import child_accuracy, loss_of
from enas_core.training.optimiser import FlatSGD, trained_parameters

SEARCH, AUGMENT = all_defaults(Search), all_defaults(Augment)
LEARNING_RATE = 0.05
CLASSES = 10
MEAN, DEVIATION = [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]
"""Of a pixel's channels, 0..1, about those of CIFAR-10."""

Step = Callable[[int], Tensor]
"""Work of one mode, as `harness` measures it: called with the number of the round, it returns a loss or an accuracy."""


def batch(size: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Random images, channels last in memory as the data pipeline makes them, and labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 32, 32, 3, generator=generator).permute(0, 3, 1, 2)
    return images.to(device), torch.randint(CLASSES, (size,), generator=generator).to(device)


def split(images: int, device: str = "cpu") -> Split:
    """Random pixels and labels, as prepared images are."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (images, 32, 32, 3), generator=generator, dtype=torch.uint8)
    labels = torch.randint(CLASSES, (images,), generator=generator)
    scale, shift = 1 / (255 * torch.tensor(DEVIATION)), -torch.tensor(MEAN) / torch.tensor(DEVIATION)
    return Split(pixels.to(device), labels.to(device), scale.to(device), shift.to(device))


def shape(num_layers: int, num_filters: int) -> NetworkShape:
    """Of networks for the batches above."""
    return NetworkShape(num_layers, num_filters, image_size=32, in_channels=3, num_classes=CLASSES, aux_head=True)


def supernet(
    num_nodes: int = 5, num_layers: int = SEARCH.num_layers, num_filters: int = SEARCH.num_filters
) -> MicroSupernet:
    """An initialised supernet."""
    network = MicroSupernet(shape(num_layers, num_filters), num_nodes, reduction_inputs="previous")
    initialise(network, SEARCH.init_fan_in, torch.Generator().manual_seed(0))
    return network


def plain_supernet(
    num_nodes: int = 5, num_layers: int = SEARCH.num_layers, num_filters: int = SEARCH.num_filters
) -> yardstick.PlainSupernet:
    """The yardstick's supernet with the same weights."""
    network = yardstick.PlainSupernet(
        num_nodes=num_nodes, num_layers=num_layers, num_filters=num_filters, num_classes=CLASSES
    )
    network.load_state_dict(supernet(num_nodes, num_layers, num_filters).state_dict())
    return network


def network(
    arc: MicroArc, num_layers: int = AUGMENT.num_layers, num_filters: int = AUGMENT.num_filters
) -> MicroNetwork:
    """An initialised stand-alone network."""
    result = MicroNetwork(arc, shape(num_layers, num_filters))
    initialise(result, AUGMENT.init_fan_in, torch.Generator().manual_seed(0))
    return result


N = TypeVar("N", MicroSupernet, MicroNetwork)


def fused(net: N) -> N:
    """A network of this project, from now on computed by the operators of `kernels.cpp`, as trainings on a CPU do."""
    fuse(net)
    assert net.operators == FUSED, "the operators cannot be built here"
    return net


def plain_network(
    arc: MicroArc, num_layers: int = AUGMENT.num_layers, num_filters: int = AUGMENT.num_filters
) -> yardstick.PlainNetwork:
    """The yardstick's with the same weights."""
    result = yardstick.PlainNetwork(arc, num_layers=num_layers, num_filters=num_filters, num_classes=CLASSES)
    result.load_state_dict(network(arc, num_layers, num_filters).state_dict(), strict=False)
    return result


def policy() -> Reinforce:
    """The controller and its training."""
    return Reinforce(Micro(MicroSettings()), SEARCH, torch.Generator().manual_seed(0))


def stage(**changes: Any) -> SelectArcStage:
    """What a stage that computes with networks sees of an experiment in which nothing but `changes` is set."""
    values = {"experiment": "benchmark", "dataset": "cifar10", "augmentation": {}, "search": {}, "select": {}}
    return SelectArcStage.model_validate(values | {"space": "micro", "space_settings": {}} | changes)


def factors(net: MicroNetwork, size: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Factors for drop path and dropout halfway through the training, as `noise_factors` draws them."""
    generator = torch.Generator().manual_seed(0)
    drop_path = torch.rand(size, net.depth, net.paths, generator=generator).add_(0.8).floor_() / 0.8
    dropout = torch.rand(size, net.num_features, generator=generator).add_(AUGMENT.keep_prob).floor_()
    return drop_path.to(device), (dropout / AUGMENT.keep_prob).to(device)


# --- steps: each is called with the number of the round, which picks the child's arc -----------------------------


def supernet_step(net: MicroSupernet, images: Tensor, labels: Tensor, num_nodes: int = 5) -> Step:
    """Forward, backward and optimiser of one child."""
    sgd = FlatSGD(trained_parameters(net, SEARCH), SEARCH)

    def step(k: int) -> Tensor:
        cross_entropy, loss = loss_of(net(images, uniform_arc(k, num_nodes)), labels, SEARCH)
        loss.backward()
        sgd.step(LEARNING_RATE)
        return cross_entropy.detach()

    return step


def plain_supernet_step(net: yardstick.PlainSupernet, images: Tensor, labels: Tensor) -> Step:
    """The yardstick's."""
    sgd = yardstick.optimizer(net, LEARNING_RATE, SEARCH.l2)
    return lambda k: yardstick.train_step(sgd, net(images, uniform_arc(k)), labels, SEARCH.aux_weight)


def network_step(net: MicroNetwork, images: Tensor, labels: Tensor, drop_path: Tensor, dropout: Tensor) -> Step:
    """Forward, backward and optimiser of a stand-alone network."""
    sgd = FlatSGD(trained_parameters(net, AUGMENT), AUGMENT)

    def step(k: int) -> Tensor:
        cross_entropy, loss = loss_of(net(images, drop_path, dropout), labels, AUGMENT)
        loss.backward()
        sgd.step(LEARNING_RATE)
        return cross_entropy.detach()

    return step


def plain_network_step(
    net: yardstick.PlainNetwork, images: Tensor, labels: Tensor, drop_path: Tensor, dropout: Tensor
) -> Step:
    """The yardstick's."""
    sgd = yardstick.optimizer(net, LEARNING_RATE, AUGMENT.l2)
    return lambda k: yardstick.train_step(sgd, net(images, drop_path, dropout), labels, AUGMENT.aux_weight)


def forward(net: Supernet, images: Tensor, labels: Tensor) -> Step:
    """The accuracy of one child, as rewards need it."""
    return lambda k: child_accuracy(net, uniform_arc(k), images, labels)


def plain_forward(net: yardstick.PlainSupernet, images: Tensor, labels: Tensor) -> Step:
    """The yardstick's."""
    net.eval()

    @torch.no_grad()
    def work(k: int) -> Tensor:
        return (net(images, uniform_arc(k))[0].argmax(1) == labels).float().mean()

    return work
