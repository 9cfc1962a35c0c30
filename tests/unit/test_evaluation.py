"""Losses and accuracies, of a batch and of a whole split."""

import pytest
import torch
import torch.nn.functional as F

from enas_core.data.prepared import Split
from enas_core.settings.augment import Augment
from enas_core.spaces.layers import initialise
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.space import NetworkShape
from enas_core.training.evaluation import child_accuracy, evaluate_network, hits, loss_of

SHAPE = NetworkShape(num_layers=1, num_filters=4, image_size=8, in_channels=1, num_classes=3, aux_head=False)


def small_network():
    network = MicroNetwork(uniform_arc(0, 2), SHAPE)
    initialise(network, "exact", torch.Generator().manual_seed(0))
    return network


def test_the_auxiliary_loss_has_its_weight_and_is_not_reported():
    generator = torch.Generator().manual_seed(0)
    logits, aux = torch.randn(2, 6, 4, generator=generator)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    cross_entropy, loss = loss_of((logits, aux), labels, Augment(aux_weight=0.25))
    torch.testing.assert_close(cross_entropy, F.cross_entropy(logits, labels))
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels) + 0.25 * F.cross_entropy(aux, labels))
    assert loss_of((logits, None), labels, Augment())[1] == cross_entropy


def test_hits():
    assert hits(torch.tensor([[1.0, 2.0], [2.0, 1.0], [0.0, 3.0]]), torch.tensor([1, 0, 0])) == 2


def small_split(count):
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(256, (count, 8, 8, 1), dtype=torch.uint8, generator=generator)
    return Split(images, torch.randint(3, (count,), generator=generator), torch.tensor([0.01]), torch.tensor([-1.0]))


def test_evaluation_does_not_depend_on_the_batch_size_and_leaves_the_network_in_training():
    network, split, batches = small_network(), small_split(10), []
    state = {name: value.clone() for name, value in network.state_dict().items()}
    results = [evaluate_network(network, split, size, lambda: batches.append(0)) for size in (10, 3, 1)]
    assert len(batches) == 1 + 4 + 10
    assert network.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    for loss, accuracy, confusion in results[1:]:
        assert torch.equal(confusion, results[0].confusion)
        assert loss == pytest.approx(results[0][0], rel=1e-5)
        assert accuracy == results[0][1]


def test_accuracy_of_a_child():
    arc = uniform_arc(0, 2)
    supernet = MicroSupernet(SHAPE, num_nodes=2, reduction_inputs="previous")
    initialise(supernet, "tensorflow", torch.Generator().manual_seed(0))
    images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        best = supernet(images, arc)[0].argmax(1)
    assert child_accuracy(supernet, arc, images, best) == 1
    assert child_accuracy(supernet, arc, images, (best + torch.tensor([1, 0, 0, 2, 0, 0])) % 3) == pytest.approx(4 / 6)
    assert supernet.training
