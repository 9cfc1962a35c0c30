"""What search and augment share: the optimiser, the random factors, the log of an epoch's steps."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from enas_core.data.prepared import Split
from enas_core.settings.augment import Augment
from enas_core.spaces.layers import initialise
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.space import NetworkShape
from enas_core.training.device import pick_device
from enas_core.training.evaluation import child_accuracy, evaluate_network, hits, loss_of
from enas_core.training.optimiser import FlatSGD, trained_parameters, untrained_state
from enas_core.training.step_log import StepLog

CPU = torch.device("cpu")
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


def small_network(arc=None, **changes):
    shape = {"num_layers": 1, "num_filters": 4, "image_size": 8, "in_channels": 1, "num_classes": 3}
    network = MicroNetwork(arc or uniform_arc(0, 2), NetworkShape(**(shape | {"aux_head": False} | changes)))
    initialise(network, "exact", torch.Generator().manual_seed(0))
    return network


# --- the optimiser ------------------------------------------------------------------------------


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
    network = small_network(image_size=20, aux_head=True)
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


# --- random factors -----------------------------------------------------------------------------

SHAPE = SimpleNamespace(paths=10, num_features=64, fc=SimpleNamespace(weight=torch.zeros(1)))


def test_nothing_is_dropped_without_a_reason():
    assert factors(SHAPE, 3, 0, 1.0) == (None, None)


def test_factors_have_their_frequency_and_mean():
    keep = [1.0, 0.9, 0.6]
    drop_path, dropout = factors(SHAPE, 2_000, 1, 0.8, keep)
    assert drop_path.shape == (2_000, 3, 10)
    assert dropout.shape == (2_000, 64)
    parts = [*zip(drop_path.unbind(1), keep, strict=True), (dropout, 0.8)]
    for found, probability in parts:
        kept = found != 0
        torch.testing.assert_close(found[kept], torch.full_like(found[kept], 1 / probability))
        error = (probability * (1 - probability) / found.numel()) ** 0.5
        assert abs(kept.double().mean() - probability) <= 5 * error
    assert set(drop_path[:, 0].unique().tolist()) == {1.0}


def test_factors_are_independent_of_each_other():
    drop_path, dropout = factors(SHAPE, 5_000, 2, 0.5, [0.5, 0.5])
    columns = torch.cat([drop_path.flatten(1), dropout], 1)
    correlation = np.corrcoef(columns.numpy().T) - np.eye(columns.shape[1])
    assert np.abs(correlation).max() < 6 / 5_000**0.5


def test_factors_depend_on_the_seed_alone():
    one, other = factors(SHAPE, 9, 3, 0.5, [0.5]), factors(SHAPE, 9, 3, 0.5, [0.5])
    assert all(map(torch.equal, one, other))
    assert not any(map(torch.equal, one, factors(SHAPE, 9, 4, 0.5, [0.5])))


def test_one_kind_of_factor_alone():
    drop_path, dropout = factors(SHAPE, 4, 0, 1.0, [0.5])
    assert drop_path is not None
    assert dropout is None
    drop_path, dropout = factors(SHAPE, 4, 0, 0.5)
    assert drop_path is None
    assert dropout is not None


# --- the log of an epoch's steps ----------------------------------------------------------------


def step_log(rows):
    log = StepLog(len(rows), CPU)
    for step, (loss, norm, hit) in enumerate(rows):
        log.record(step, torch.tensor(loss), torch.tensor(norm), torch.tensor(hit))
    return log


def test_totals_weigh_each_image_alike():
    loss, accuracy = step_log([(2.0, 1.0, 3), (1.0, 1.0, 4), (4.0, 1.0, 1)]).totals([4, 4, 2])
    assert loss == pytest.approx((4 * 2 + 4 * 1 + 2 * 4) / 10)
    assert accuracy == pytest.approx(8 / 10)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("column", [0, 1])
def test_the_first_step_that_is_not_finite(bad, column):
    rows = [[1.0, 1.0, 1] for _ in range(5)]
    rows[2][column] = rows[4][column] = bad
    log = step_log(rows)
    assert [log.first_divergence(steps) for steps in range(6)] == [None, None, None, 2, 2, 2]


def test_no_divergence():
    assert step_log([(1e30, 1e30, 0)] * 3).first_divergence(3) is None


# --- losses, accuracies, devices ----------------------------------------------------------------


def test_the_auxiliary_loss_has_its_weight_and_is_not_reported():
    generator = torch.Generator().manual_seed(0)
    logits, aux = torch.randn(2, 6, 4, generator=generator)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    cross_entropy, loss = loss_of((logits, aux), labels, training(aux_weight=0.25))
    torch.testing.assert_close(cross_entropy, F.cross_entropy(logits, labels))
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels) + 0.25 * F.cross_entropy(aux, labels))
    assert loss_of((logits, None), labels, training())[1] == cross_entropy


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
    for loss, accuracy in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-5)
        assert accuracy == results[0][1]


def test_accuracy_of_a_child():
    arc = uniform_arc(0, 2)
    supernet = MicroSupernet(NetworkShape(1, 4, 8, 1, 3, aux_head=False), num_nodes=2, reduction_inputs="previous")
    initialise(supernet, "tensorflow", torch.Generator().manual_seed(0))
    images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        best = supernet(images, arc)[0].argmax(1)
    assert child_accuracy(supernet, arc, images, best) == 1
    assert child_accuracy(supernet, arc, images, (best + torch.tensor([1, 0, 0, 2, 0, 0])) % 3) == pytest.approx(4 / 6)
    assert supernet.training


def test_devices():
    threads = torch.get_num_threads()
    try:
        assert pick_device("cpu", 1) == CPU
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    threads = torch.get_num_threads()
    assert pick_device("auto", threads) == CPU
    with pytest.raises(ValueError, match=r"--device cuda: no CUDA device is there; allowed here: auto, cpu"):
        pick_device("cuda", threads)
