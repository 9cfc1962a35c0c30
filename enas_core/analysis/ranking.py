"""How far rankings repeat, agree with each other, and find the best: the rank statistics of the signal check.

Intervals of rank correlations are jackknife intervals (Tukey 1958) on Fisher's scale: one arc after the other is left
out, since the question is what other arcs of the same kind would have given. In simulations with 8 to 100 arcs such
95 % intervals held the true value in 90 to 98 % of cases; the percentile bootstrap over arcs did in 87 to 98 %. Of more
than 100 arcs, a hundredth is left out at a time, which would otherwise take a time that grows with the square of their
number (with 500 arcs and 3 search seeds they held it in 94 to 96 % of cases).

Shapes: A arcs, N images, R raters (halves of the images, or search seeds), S splits.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enas_core.analysis.statistics import LEVEL, Estimate

MIN_RANKED, MIN_RANKED_INTERVAL = 3, 5
"""Arcs that a rank correlation and its interval need."""

SPLITS = 200
"""Random halves of the validation images; so many keep the halving's own noise below 0.02."""

MAX_GROUPS = 100
"""So many times arcs are left out at most."""

NEARLY_ONE = 0.9999
"""Correlations count as no more than this on Fisher's scale, where 1 is infinitely far away."""

Array = NDArray[np.float64]
Kept = NDArray[np.int64]
"""Positions of the arcs that an estimate is made from."""


def split_half_reliability(correct: NDArray[np.bool_]) -> Estimate:
    """How far the order of arcs by accuracy would repeat on as many other images, -1..1; from answers [A, N].

    Spearman's rank correlation of the accuracies on both halves of the images, the mean over many random halvings, is
    stepped up from half to all images by the formula of Spearman and Brown (1910), which holds it at -1 at least."""
    arcs, images = correct.shape
    if arcs < MIN_RANKED:
        return Estimate(reason=f"needs at least {MIN_RANKED} arcs, there {_are(arcs)}")
    if images < 2:
        return Estimate(reason="needs at least 2 images, there is 1")
    if (correct == correct[0]).all():
        return Estimate(reason="all arcs are right on the same images")

    first, second = _half_scores(correct)

    def mean_correlation(kept: Kept) -> float:
        return float(_pearson(_centred_ranks(first[:, kept]), _centred_ranks(second[:, kept])).mean())

    half = _with_interval(mean_correlation, arcs)
    return half._replace(value=_step_up(half.value), low=_step_up(half.low), high=_step_up(half.high))


def _half_scores(correct: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Right answers of each arc on the images of either half, [S, A] each. The halves are the same every time."""
    generator = np.random.default_rng(0)
    images = correct.shape[1]
    in_first = np.zeros((SPLITS, images))
    for row in in_first:
        row[generator.permutation(images)[: images // 2]] = 1
    answers = correct.T.astype(float)
    return in_first @ answers, (1 - in_first) @ answers


def _step_up(correlation: float | None) -> float | None:
    """The correlation of rankings by twice as many images."""
    if correlation is None:
        return None
    return -1.0 if correlation <= -1 / 3 else 2 * correlation / (1 + correlation)


def agreement(scores: Sequence[Mapping[str, float]]) -> Estimate:
    """How far search seeds rank the same arcs alike, -1..1; `scores` are the shared accuracies by arc of each seed.

    The mean over all pairs of seeds of Spearman's rank correlation, of the arcs that every seed has scored."""
    if len(scores) < 2:
        return Estimate(reason=f"needs at least 2 search seeds, there {_are(len(scores))}")
    arcs = sorted(set.intersection(*[set(of_seed) for of_seed in scores]))
    if len(arcs) < MIN_RANKED:
        return Estimate(reason=f"needs at least {MIN_RANKED} random arcs, there {_are(len(arcs))}")
    table = np.array([[of_seed[arc] for arc in arcs] for of_seed in scores])
    if (table == table[:, :1]).all(axis=1).any():
        return Estimate(reason="to one search seed all random arcs are the same")

    pairs = list(itertools.combinations(range(len(scores)), 2))
    one, other = [i for i, _ in pairs], [j for _, j in pairs]

    def mean_correlation(kept: Kept) -> float:
        ranks = _centred_ranks(table[:, kept])
        return float(_pearson(ranks[one], ranks[other]).mean())

    return _with_interval(mean_correlation, len(arcs))


def _centred_ranks(x: Array) -> Array:
    """Ranks in each row of x [R, A], less their mean."""
    from scipy.stats import rankdata

    ranks: Array = rankdata(x, axis=1)
    return ranks - ranks.mean(axis=1, keepdims=True)


def _pearson(a: Array, b: Array) -> Array:
    """Correlations of the rows of a and b [R, A], whose means are 0; 0 where a row is constant. Of ranks they are
    Spearman's."""
    together = (a * b).sum(axis=1)
    alone = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.divide(together, alone, out=np.zeros_like(together), where=alone > 0)


def _with_interval(correlation: Callable[[Kept], float], arcs: int) -> Estimate:
    """A rank correlation of `arcs` arcs with its jackknife interval; `correlation` gives it for some of them. Groups of
    arcs are left out in turn, of one arc each where there are few."""
    from scipy.stats import t

    everyone = np.arange(arcs)
    value = correlation(everyone)
    groups = min(arcs, MAX_GROUPS)
    order = everyone if groups == arcs else np.random.default_rng(0).permutation(arcs)
    if arcs < MIN_RANKED_INTERVAL:
        return Estimate(value, reason=f"an interval needs at least {MIN_RANKED_INTERVAL} arcs, there are {arcs}")

    without_one = np.array([correlation(np.delete(everyone, group)) for group in np.array_split(order, groups)])
    pseudo_values = groups * _fisher(value) - (groups - 1) * _fisher(without_one)
    error = float(np.std(pseudo_values, ddof=1)) / groups**0.5
    if error < 1e-9:
        return Estimate(value, reason="no interval: the order is the same whichever arc is left out")
    reach = float(t.ppf((1 + LEVEL) / 2, groups - 1)) * error
    centre = float(_fisher(value))
    return Estimate(value, float(np.tanh(centre - reach)), float(np.tanh(centre + reach)))


def _fisher(correlation: float | Array) -> Array:
    return np.arctanh(np.clip(correlation, -NEARLY_ONE, NEARLY_ONE))


class TopK(NamedTuple):
    """What the first k of a ranking are worth. What cannot be said is None."""

    k: int | None = None
    precision: float | None = None
    """How many of them are among the k best, as a fraction; a random order is expected to have k / (all networks)."""
    regret: float | None = None
    """What the best of them lacks to the best of all, as a fraction of the test images."""
    reason: str = ""


def top_k(shared: Sequence[float], test: Sequence[float], k: int | None = None) -> TopK:
    """Precision and regret at k of the ranking by shared accuracy, judged by test accuracy. By default k is a quarter
    of the networks. Ties in the shared accuracy count against the ranking."""
    if len(shared) < MIN_RANKED:
        return TopK(reason=f"needs at least {MIN_RANKED} networks, there {_are(len(shared))}")
    if len(set(shared)) == 1:
        return TopK(reason="all networks have the same shared accuracy")
    k = k or max(1, round(len(shared) / 4))
    ranked = sorted(zip(shared, test, strict=True), key=lambda pair: (-pair[0], pair[1]))
    first = [accuracy for _, accuracy in ranked[:k]]
    best_first = sorted(test, reverse=True)
    among_the_best = sum(accuracy >= best_first[k - 1] for accuracy in first)
    return TopK(k, among_the_best / k, best_first[0] - max(first))


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"
