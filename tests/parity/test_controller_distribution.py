"""The search as a random process: what the controller samples at its start, that its gradient is that of the
expected reward, and that it finds a planted optimum. Seeds are fixed, so each outcome is, too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from fill import golden_controller
from scipy import stats
from test_controller import choices_in_order
from torch import Tensor

from enas_core.policies.controller import Controller
from enas_core.policies.reinforce import Reinforce
from enas_core.settings.search import Controller as ControllerSettings
from enas_core.settings.search import Search
from enas_core.spaces.micro.arc import OPS, MicroArc
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro

SIGNIFICANCE = 1e-4
"""A right distribution fails at one seed in so many thousand; the wrong ones below have far smaller p-values."""


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- the distribution at the start --------------------------------------------------------------


@pytest.fixture(scope="module")
def initial() -> np.ndarray:
    """Choices [arcs, cells, nodes, (index, index, op, op)] of 10,000 arcs from ten freshly drawn controllers:
    100,000 operations and 100,000 indices in each cell."""
    rows = []
    for seed in range(10):
        controller = Controller(Micro(MicroSettings()), ControllerSettings(), seeded(seed))
        with torch.no_grad():
            rows += [choices_in_order(arc) for arc in controller.sample(1_000, seeded(1_000 + seed)).arcs]
    return np.array(rows).reshape(-1, 2, 5, 4)


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


BIAS = 1.1 / 2.5 * np.array([1, 1, 0, 0, 0])  # the tanh of 10, and of almost 0
PRIOR = np.array([0.25, 0.25, -0.25, -0.25, -0.25])  # in the normal cell only
UNIFORM = np.zeros(5)


@pytest.mark.parametrize(
    ("cell", "logits", "wrong"),
    [(0, BIAS + PRIOR, [BIAS, PRIOR, UNIFORM]), (1, BIAS, [BIAS + PRIOR, BIAS * 2.5, UNIFORM])],
    ids=["normal", "reduction"],
)
def test_initial_operations(initial: np.ndarray, cell: int, logits: np.ndarray, wrong: list[np.ndarray]) -> None:
    counts = np.bincount(initial[:, cell, :, 2:].flatten(), minlength=len(OPS))
    assert counts.sum() == 100_000
    assert stats.chisquare(counts, counts.sum() * softmax(logits)).pvalue > SIGNIFICANCE
    for other in wrong:
        assert stats.chisquare(counts, counts.sum() * softmax(other)).pvalue < 1e-12


@pytest.mark.parametrize("cell", [0, 1], ids=["normal", "reduction"])
def test_initial_indices(initial: np.ndarray, cell: int) -> None:
    statistic, freedom = 0.0, 0
    for node in range(5):
        counts = np.bincount(initial[:, cell, node, :2].flatten())
        assert len(counts) == node + 2
        statistic, freedom = statistic + stats.chisquare(counts).statistic, freedom + node + 1
    assert stats.chi2.sf(statistic, freedom) > SIGNIFICANCE


def test_samples_follow_the_policy_at_other_weights() -> None:
    """At the golden weights, where every decision depends on those before it: 100,000 decisions against the
    probabilities that they were drawn with, and against those with which the same arcs are scored."""
    controller = golden_controller(5, "formula_bias", "float64")
    with torch.no_grad():
        sample = controller.sample(2_500, seeded(0))
        scored = controller.score(sample.arcs)
    torch.testing.assert_close(scored.log_prob, sample.log_prob)
    torch.testing.assert_close(scored.entropy, sample.entropy)
    choices, statistic, uniform, freedom = np.array([choices_in_order(arc) for arc in sample.arcs]).T, 0.0, 0.0, 0
    for chosen, logits in zip(choices, sample.logits, strict=True):
        counts = np.bincount(chosen, minlength=logits.shape[1])
        statistic += stats.chisquare(counts, logits.softmax(1).sum(0).numpy()).statistic
        uniform += stats.chisquare(counts).statistic
        freedom += len(counts) - 1
    assert stats.chi2.sf(statistic, freedom) > SIGNIFICANCE
    assert stats.chi2.sf(uniform, freedom) < 1e-12
    surprise = -sample.log_prob - sample.entropy  # zero on average, by the definition of entropy
    assert abs(float(surprise.mean() / surprise.std())) * len(sample.arcs) ** 0.5 < 4


# --- the gradient -------------------------------------------------------------------------------


@pytest.fixture
def tiny() -> Reinforce:
    """The training of a controller of one-node cells, of which there are 10,000 pairs, with a policy far from
    uniform."""
    space = Micro(MicroSettings(num_nodes=1, op_bias_init=(0.5, -0.5, 0.3, 0.0, 1.0)))
    settings = ControllerSettings(hidden_size=4, entropy_weight=0.0, advantage_baseline="previous")
    reinforce = Reinforce(space, Search(controller=settings), seeded(0))
    with torch.no_grad():
        for p in reinforce.controller.double().parameters():
            p.mul_(10)
    return reinforce


@pytest.fixture(scope="module")
def all_arcs() -> list[MicroArc]:
    cells = list(itertools.product(range(2), range(5), range(2), range(5)))
    return [MicroArc.from_integers(normal + reduction) for normal in cells for reduction in cells]


@pytest.fixture(scope="module")
def rewards(all_arcs: list[MicroArc]) -> Tensor:
    """The reward of every arc: a bonus for identities and one for an input, and noise."""
    planted = [
        0.1 * sum(n.op_1 + n.op_2 == 8 for cell in arc.cells for n in cell) + 0.3 * arc.normal[0].index_1
        for arc in all_arcs
    ]
    return torch.tensor(planted, dtype=torch.float64) + 0.3 * torch.rand(len(all_arcs), generator=seeded(1))


@torch.no_grad()
def log_probs_moved(controller: Controller, arcs: list[MicroArc], directions: dict[str, Tensor], by: float) -> Tensor:
    """Log-probabilities with each named weight moved along its direction."""
    named = dict(controller.named_parameters())
    for name, direction in directions.items():
        named[name] += by * direction
    log_prob = controller.score(arcs).log_prob
    for name, direction in directions.items():
        named[name] -= by * direction
    return log_prob


def test_gradient_is_that_of_the_expected_reward(tiny: Reinforce, all_arcs: list[MicroArc], rewards: Tensor) -> None:
    """An update from every arc, each reward weighted by the arc's probability, against finite differences. The
    baseline is kept at 0, since here the arcs are not drawn."""
    controller = tiny.controller
    with torch.no_grad():
        p = controller.score(all_arcs).log_prob.exp()
    assert float(p.sum()) == pytest.approx(1.0)
    tiny.settings = tiny.settings.model_copy(update={"baseline_decay": 1 - 2**-53})
    start = {name: weight.detach().clone() for name, weight in controller.named_parameters()}
    tiny.update(all_arcs, (len(all_arcs) * p * rewards).tolist())
    gradients = {name: -weight.grad for name, weight in controller.named_parameters()}
    controller.load_state_dict(start)
    for seed in range(2):
        directions = {
            name: torch.randn(g.shape, generator=seeded(seed), dtype=g.dtype) for name, g in gradients.items()
        }
        up, down = (log_probs_moved(controller, all_arcs, directions, by).exp() @ rewards for by in (1e-5, -1e-5))
        found = sum(float((gradients[name] * direction).sum()) for name, direction in directions.items())
        difference = float(up - down) / 2e-5
        assert abs(found / difference - 1) <= 1e-6
    assert min(float(g.norm()) for g in gradients.values()) > 1e-5  # each has a say in the sum


def test_gradient_of_sampled_arcs_is_unbiased(tiny: Reinforce, all_arcs: list[MicroArc], rewards: Tensor) -> None:
    """An update from 10,000 sampled arcs, its moving baseline included, along the true gradient."""
    controller, count = tiny.controller, 10_000
    reward_of = dict(zip(all_arcs, rewards.tolist(), strict=True))
    log_prob = controller.score(all_arcs).log_prob
    p = log_prob.detach().exp()
    gradients = torch.autograd.grad(log_prob.exp() @ rewards, list(controller.parameters()))
    directions = dict(zip(dict(controller.named_parameters()), gradients, strict=True))
    up, down = (log_probs_moved(controller, all_arcs, directions, by) for by in (1e-5, -1e-5))
    slopes = (up - down) / 2e-5  # of every arc's log-probability
    expected = float((p * rewards) @ slopes)

    tiny.baseline = float(p @ rewards)
    with torch.no_grad():
        arcs = controller.sample(count, seeded(3)).arcs
    tiny.update(arcs, [reward_of[arc] for arc in arcs])
    found = -sum(
        float((controller.get_parameter(name).grad * direction).sum()) for name, direction in directions.items()
    )
    variance = float(p @ ((rewards - p @ rewards) * slopes).square()) - expected**2
    error = (variance / count) ** 0.5
    assert expected > 10 * error, "the test could not tell the gradient from none"
    assert abs(found - expected) < 4 * error


# --- what is found ------------------------------------------------------------------------------


def identity_share(arc: MicroArc) -> float:
    ops = [op for cell in arc.cells for n in cell for op in (n.op_1, n.op_2)]
    return sum(OPS[op] == "identity" for op in ops) / len(ops)


def trained(space: Micro, settings: ControllerSettings, updates: int) -> Controller:
    """The controller after so many updates of ten arcs whose accuracy is their share of identities."""
    reinforce = Reinforce(space, Search(controller=settings), seeded(0))
    for k in range(updates):
        with torch.no_grad():
            arcs = reinforce.controller.sample(settings.arcs_per_update, seeded(k)).arcs
        reinforce.update(arcs, [identity_share(arc) for arc in arcs])
    return reinforce.controller


def test_planted_optimum_is_found() -> None:
    """Here logits can grow, and no operation is saturated at its start."""
    space = Micro(MicroSettings(num_nodes=2, op_bias_init=(0.0,) * 5, op_tanh_reduce=1.0))
    controller = trained(space, ControllerSettings(tanh_constant=5.0, learning_rate=0.01), 120)
    with torch.no_grad():
        sample = controller.sample(200, seeded(0))
    shares = [identity_share(arc) for arc in sample.arcs]
    assert shares[int(sample.log_prob.argmax())] == 1.0
    assert sum(shares) / len(shares) > 0.95


def test_saturated_operations_do_not_learn() -> None:
    """The original's initial bias: whatever the reward, separable convolutions keep their logits."""
    controller = trained(Micro(MicroSettings(num_nodes=2)), ControllerSettings(), 50)
    with torch.no_grad():
        sample = controller.sample(100, seeded(0))
    assert controller.b_soft[0, :2].tolist() == [10.0, 10.0]
    assert not torch.equal(controller.b_soft[0, 2:], torch.zeros(3))
    for k, logits in enumerate(sample.logits):
        if k % 4 > 1:
            prior = 0.25 if k < len(sample.logits) // 2 else 0.0
            torch.testing.assert_close(logits[:, :2], torch.full((100, 2), 0.44 + prior))
