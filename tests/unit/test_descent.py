"""Gradient descent over the images of an epoch: which batch a step has, what is remembered of it, and divergence."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from enas_core.console import RunError
from enas_core.settings.augment import Augment
from enas_core.spaces.layers import initialise
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.space import NetworkShape
from enas_core.training.descent import Descent
from enas_core.training.processes import ALONE, Processes
from enas_core.training.schedule import learning_rate

ARC = uniform_arc(0, 2)
SETTINGS = Augment(batch_size=4, lr_max=0.05)
IMAGES = 10


def descent_of(training=SETTINGS, processes=ALONE, seed=0, **changes):
    shape = {"num_layers": 1, "num_filters": 4, "image_size": 8, "in_channels": 1, "num_classes": 3, "aux_head": False}
    network = MicroNetwork(ARC, NetworkShape(**(shape | changes)))
    initialise(network, "exact", torch.Generator().manual_seed(seed))
    return Descent("a seed 1", network, training, IMAGES, processes)


def batch_of(step, size):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(size, 1, 8, 8, generator=generator), torch.randint(3, (size,), generator=generator)


def descend(descent, steps):
    for step in steps:
        images, labels = batch_of(step, descent.batch(step).size)
        descent.descend(0, step, descent.forward(images), labels)


# --- batches ------------------------------------------------------------------------------------


def test_the_last_batch_has_what_is_left():
    descent = descent_of()
    batches = [descent.batch(step) for step in range(descent.steps)]
    assert [batch.size for batch in batches] == [4, 4, 2]
    assert [(batch.start, batch.stop) for batch in batches] == [(0, 4), (4, 8), (8, 10)]
    assert {batch.part.indices(batch.size) for batch in batches} == {(0, 4, 1), (0, 2, 1)}


def test_the_parts_of_several_processes_make_the_batch(monkeypatch):
    monkeypatch.setattr("enas_core.training.descent._over_processes", lambda network, *_: network)
    several = [descent_of(processes=Processes(rank, 3)) for rank in range(3)]
    for step in range(3):
        parts = [descent.batch(step) for descent in several]
        whole = descent_of().batch(step)
        assert {part.size for part in parts} == {whole.size}
        assert (parts[0].start, parts[-1].stop) == (whole.start, whole.stop)
        assert all(one.stop == other.start for one, other in itertools.pairwise(parts))
        for part in parts:
            assert range(whole.start, whole.stop)[part.part] == range(part.start, part.stop)


# --- steps --------------------------------------------------------------------------------------


def test_a_step_is_that_of_the_optimiser_on_the_mean_loss():
    ours, theirs = descent_of(), descent_of()
    images, labels = batch_of(0, 4)
    ours.descend(0, 0, ours.forward(images), labels)
    F.cross_entropy(theirs.forward(images)[0], labels).backward()
    theirs.sgd.step(learning_rate(SETTINGS, 0, 0))
    assert torch.equal(ours.sgd.values, theirs.sgd.values)


def test_means_are_over_the_images_of_the_epoch():
    descent = descent_of(SETTINGS.model_copy(update={"lr_max": 1e-30, "lr_min": 0.0}))  # the weights stay
    descend(descent, range(3))
    logits, labels = [], []
    for step, size in enumerate((4, 4, 2)):
        images, of_batch = batch_of(step, size)
        logits.append(descent.forward(images)[0].detach())
        labels.append(of_batch)
    logits, labels = torch.cat(logits), torch.cat(labels)
    loss, accuracy = descent.means()
    assert loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    assert accuracy == pytest.approx(float((logits.argmax(1) == labels).double().mean()))


@pytest.mark.parametrize("train_aux_head", [False, True])
def test_the_auxiliary_head_is_trained_if_the_settings_say_so(train_aux_head):
    training = SETTINGS.model_copy(update={"train_aux_head": train_aux_head})
    descent = descent_of(training, image_size=32, aux_head=True)
    assert {p.requires_grad for p in descent.network.aux_head.parameters()} == {train_aux_head}


def test_the_state_goes_on():
    whole, first, second = descent_of(), descent_of(), descent_of(seed=1)
    descend(whole, range(3))
    descend(first, range(2))
    second.load_state_dict(first.state_dict())
    descend(second, range(2, 3))
    assert second.means() == whole.means()
    state = second.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.network.state_dict().items())


# --- divergence ---------------------------------------------------------------------------------


def test_a_sound_epoch_is_not_said_to_diverge():
    descent = descent_of()
    descent.require_finite(0, 0, lambda step: ARC)
    descend(descent, range(3))
    descent.require_finite(0, 3, lambda step: ARC)


def test_the_first_step_that_diverged_is_named_with_its_arc():
    descent = descent_of()
    descend(descent, range(1))
    images, labels = batch_of(1, 4)
    descent.descend(0, 1, descent.forward(images * float("nan")), labels)
    descend(descent, range(2, 3))
    rate = learning_rate(SETTINGS, 7, 1)
    with pytest.raises(RunError) as caught:
        descent.require_finite(7, 3, {1: "the arc"}.__getitem__)
    assert str(caught.value) == (
        f"a seed 1 diverged: loss or gradient not finite at epoch 7, step 1, learning rate {rate:.6g},"
        " arc the arc; the last good state is kept"
    )


@pytest.mark.parametrize("what", ["weights", "moving statistics"])
def test_weights_and_statistics_may_overflow_all_the_same(what):
    descent = descent_of()
    descend(descent, range(2))
    with torch.no_grad():
        if what == "weights":
            descent.sgd.values[0] = float("inf")
        else:
            next(b for name, b in descent.network.named_buffers() if name.endswith("running_var"))[0] = float("inf")
    with pytest.raises(RunError, match=r"^a seed 1 diverged: weights not finite at epoch 0, step 1, "):
        descent.require_finite(0, 2, lambda step: ARC)


# --- drop path ----------------------------------------------------------------------------------


def test_drop_path_falls_from_step_to_step_over_all_epochs():
    """10 images by 4 are 3 steps an epoch, 6 in all; the last layer reaches its final probability at the last step."""
    descent = descent_of(SETTINGS.model_copy(update={"num_epochs": 2, "drop_path_keep_prob": 0.4}))
    last_layer = [descent.keep_probs(epoch, step)[-1] for epoch in range(2) for step in range(3)]
    assert last_layer == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert len(descent.keep_probs(0, 0)) == descent.network.depth == 3
