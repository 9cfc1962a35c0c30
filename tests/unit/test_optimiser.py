"""SGD over one flat tensor, and which parameters it moves."""

import pytest
import torch
from torch import nn

from enas_core.settings.augment import Augment
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.space import NetworkShape
from enas_core.training.optimiser import FlatSGD, trained_parameters, untrained_state

SHAPES = [(3, 5), (7,), (1, 2, 3, 3), (), (16,)]


def training(**changes):
    return Augment(**({"l2": 0.01, "lr_max": 0.1, "momentum": 0.9} | changes))


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in SHAPES]


def gradients(step):
    """Gradients of a step; from step 2 on the second parameter is on no sampled path."""
    generator = torch.Generator().manual_seed(100 + step)
    grads = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]
    if step >= 2:
        grads[1].zero_()
    return grads


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_flat_sgd_is_torchs_with_weight_decay(momentum):
    ours, theirs = parameters(), parameters()
    sgd = FlatSGD(ours, training(momentum=momentum))
    optimizer = torch.optim.SGD(theirs, lr=1.0, momentum=momentum, nesterov=momentum > 0, weight_decay=0.02)
    for step in range(6):
        rate = 0.1 / (step + 1)
        optimizer.param_groups[0]["lr"] = rate
        for p, q, grad in zip(ours, theirs, gradients(step), strict=True):
            p.grad += grad
            q.grad = grad.clone()
        sgd.step(rate)
        optimizer.step()
        for p, q in zip(ours, theirs, strict=True):
            torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


def test_what_is_not_sampled_decays_and_keeps_its_momentum():
    (p, q), rate, l2 = [nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2)], 0.1, 0.01
    sgd = FlatSGD([p, q], training(l2=l2))
    q.grad += 1.0
    sgd.step(rate)
    torch.testing.assert_close(p.data, torch.full((3,), 1 - rate * 1.9 * 2 * l2, dtype=torch.float64))
    before = q.data.clone()
    sgd.step(rate)  # no gradient now
    grad = 2 * l2 * before
    momentum = 0.9 * (1 + 2 * l2) + grad
    torch.testing.assert_close(q.data, before - rate * (grad + 0.9 * momentum))


def test_autograd_fills_the_flat_gradient():
    p, q = (nn.Parameter(torch.tensor([1.0, 2.0])) for _ in range(2))
    sgd = FlatSGD([p, q], training(l2=0.0, momentum=0.0))
    (p * p).sum().backward()
    assert sgd.step(0.5) == pytest.approx(20**0.5)
    assert p.tolist() == [0.0, 0.0]
    assert q.tolist() == [1.0, 2.0]
    assert sgd.values.grad.abs().max() == 0
    assert p.grad.abs().max() == q.grad.abs().max() == 0


@pytest.mark.parametrize("clip_norm", [None, 0.5, 1e6])
def test_the_global_norm_is_clipped(clip_norm):
    ours, theirs = parameters(), parameters()
    sgd = FlatSGD(ours, training(clip_norm=clip_norm, momentum=0.0))
    grads = [grad + 0.02 * q.data for grad, q in zip(gradients(0), theirs, strict=True)]
    norm = torch.linalg.vector_norm(torch.cat([grad.flatten() for grad in grads]))
    factor = min(1.0, (clip_norm or 1e9) / norm)
    for p, grad in zip(ours, gradients(0), strict=True):
        p.grad += grad
    torch.testing.assert_close(sgd.step(0.1), norm)
    for p, q, grad in zip(ours, theirs, grads, strict=True):
        torch.testing.assert_close(p.data, q.data - 0.1 * factor * grad)


def test_a_gradient_of_zero_is_not_divided_by_its_norm():
    p = nn.Parameter(torch.zeros(3))
    sgd = FlatSGD([p], training(clip_norm=1.0))
    assert sgd.step(0.1) == 0
    assert p.tolist() == [0, 0, 0]


def test_the_state_of_the_optimiser_goes_on():
    whole, first = parameters(), parameters()
    sgd, interrupted = FlatSGD(whole, training()), FlatSGD(first, training())
    second = parameters(seed=1)
    resumed = FlatSGD(second, training())
    for step in range(4):
        if step == 2:
            resumed.load_state_dict({name: value.clone() for name, value in interrupted.state_dict().items()})
        now, optimizer = (first, interrupted) if step < 2 else (second, resumed)
        for p, q, grad in zip(whole, now, gradients(step), strict=True):
            p.grad += grad
            q.grad += grad
        sgd.step(0.1)
        optimizer.step(0.1)
    assert all(map(torch.equal, whole, second))


@pytest.mark.parametrize("train_aux_head", [False, True])
def test_what_is_trained_and_what_is_not(train_aux_head):
    network = MicroNetwork(uniform_arc(0, 2), NetworkShape(1, 4, 20, 1, 3, aux_head=True))
    settings = training(train_aux_head=train_aux_head)
    trained = {id(p) for p in trained_parameters(network, settings)}
    aux = {id(p) for p in network.aux_head.parameters()}
    everything = {id(p) for p in network.parameters()}
    assert trained == (everything if train_aux_head else everything - aux)
    sgd = FlatSGD(trained_parameters(network, settings), settings)
    untrained = set(untrained_state(network, sgd))
    assert ("aux_head.fc.weight" in untrained) != train_aux_head
    assert "num_updates" in untrained
    assert "fc.weight" not in untrained
    assert untrained < set(network.state_dict())
