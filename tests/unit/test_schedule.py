"""What changes with time: learning rate and drop path."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core.settings.augment import Augment
from enas_core.settings.search import Search
from enas_core.training.schedule import drop_path_keep_prob, drop_path_strength, learning_rate, steps_per_epoch

stable = settings(derandomize=True, deadline=None)
trainings = st.builds(
    lambda low, more, t_0, t_mul, mean: Augment(
        lr_min=low, lr_max=low + more, lr_t_0=t_0, lr_t_mul=t_mul, restart_first_step_mean=mean
    ),
    st.floats(0, 1),
    st.floats(1e-6, 1),
    st.integers(1, 20),
    st.integers(1, 4),
    st.booleans(),
)


@stable
@given(trainings, st.integers(0, 1000), st.integers(0, 1000))
def test_learning_rate_is_within_its_bounds(training, epoch, step):
    rate = learning_rate(training, epoch, step)
    assert training.lr_min * (1 - 1e-12) <= rate <= training.lr_max * (1 + 1e-12)


@stable
@given(trainings, st.integers(0, 200))
def test_learning_rate_is_constant_within_an_epoch_and_a_cosine_over_epochs(training, epochs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=training.lr_max)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer, T_0=training.lr_t_0, T_mult=training.lr_t_mul, eta_min=training.lr_min
    )
    scheduler.step(epochs)
    for step in (1, 2, 300):
        assert learning_rate(training, epochs, step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)


@pytest.mark.parametrize(("training", "epochs"), [(Search(), 150), (Augment(), 630)])
def test_restarts_of_the_defaults(training, epochs):
    rates = [learning_rate(training, epoch, step=1) for epoch in range(epochs)]
    rises = [epoch for epoch, (a, b) in enumerate(itertools.pairwise(rates), start=1) if b > a]
    assert rises == [restart for restart in (10, 30, 70, 150, 310) if restart < epochs]
    assert all(rates[restart] == training.lr_max for restart in [0, *rises])
    middle = (training.lr_max + training.lr_min) / 2
    for epoch in range(epochs):
        expected = middle if epoch in rises else rates[epoch]
        assert learning_rate(training, epoch, step=0) == expected


def test_restarts_without_the_step_in_between():
    training = Augment(restart_first_step_mean=False)
    assert [learning_rate(training, epoch, step=0) for epoch in (0, 10, 30)] == [training.lr_max] * 3


@stable
@given(st.floats(0.01, 1), st.integers(1, 40), st.integers(1, 500))
def test_drop_path_falls_with_depth_and_time(final, layers, steps):
    strengths = [drop_path_strength(step, steps) for step in range(steps + 10)]
    assert strengths == sorted(strengths)
    assert 0 < strengths[0] == pytest.approx(1 / steps)
    assert strengths[steps - 1 :] == [1.0] * 11
    for strength in (strengths[0], strengths[steps // 2], 1.0):
        by_depth = [drop_path_keep_prob(final, layer, layers, strength) for layer in range(layers)]
        assert by_depth == sorted(by_depth, reverse=True)
        assert all(final - 1e-12 <= keep <= 1 for keep in by_depth)
        assert by_depth[-1] == pytest.approx(1 - strength * (1 - final))
    by_time = [drop_path_keep_prob(final, layers - 1, layers, strength) for strength in strengths]
    assert by_time == sorted(by_time, reverse=True)
    assert by_time[-1] == pytest.approx(final)


@stable
@given(st.integers(1, 10**6), st.integers(1, 10**4))
def test_an_epoch_is_one_pass(images, batch_size):
    steps = steps_per_epoch(images, batch_size)
    assert (steps - 1) * batch_size < images <= steps * batch_size


def test_an_epoch_of_the_defaults():
    assert steps_per_epoch(45_000, Search().batch_size) == 282
    assert steps_per_epoch(50_000, Augment().batch_size) == 348
