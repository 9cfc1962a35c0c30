"""The signal check: does the order in which a search's shared weights rank arcs say anything? From one bit for each
candidate and validation image, whether the answer is right.

`enas_core.select_arc` writes the check of one search to signal.parquet, `enas_core.compare` takes the weakest of an
experiment's searches, and `enas_core.search` asks `beyond_guessing` early. The questions come in this order:

1. Have the weights learned? Guessing is to answer the commonest class always. This decides first, since weights that
   nobody has trained rank arcs reliably as well: random features repeat themselves.
2. Do the candidates differ by more than so many images make equal ones differ?
3. Would their order repeat on other images?

A yes to all of them says that the order repeats, not that it is right: only networks trained from scratch say that.

Shapes: A candidates, N validation images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enas_core.analysis.ranking import split_half_reliability
from enas_core.analysis.statistics import ALPHA, holm
from enas_core.files.common_columns import VERDICTS, Verdict

Row = dict[str, Any]

LEARNED_ODDS = 2.0
"""Weights count as trained when the odds of a right answer are so many times those of guessing (0.18 in ten equal
classes, 0.67 in two). The binomial test alone is not enough: it takes images for independent, yet poor weights answer
those of one class alike. Mean candidates of 40 untrained supernets on the digits had 0.6 to 1.0 times the odds, of
three searches that had learned next to nothing 1.4 to 1.6 (the test called half of their candidates better than
guessing), and of three that had just begun to learn 5."""


def check(correct: NDArray[np.bool_], labels: NDArray[np.int64]) -> Row:
    """The signal check of one search, as columns of signal.parquet; from the candidates' answers [A, N] and the labels
    [N]."""
    accuracies = correct.mean(axis=1)
    mean = float(accuracies.mean())
    chance = chance_level(labels)
    above = num_above_chance(correct, chance)
    spread = spread_against_noise(correct)
    reliability = split_half_reliability(correct)

    learned = above > 0 and odds_ratio(mean, chance) >= LEARNED_ODDS
    # Where no interval is possible, the test of the spread alone tells an order from noise.
    least = reliability.value if reliability.low is None else reliability.low
    differs = spread.p is not None and spread.p < ALPHA
    verdict: Verdict = "order is noise"
    if not learned:
        verdict = "at chance"
    elif differs and least is not None and least > 0:
        verdict = "order repeats"

    return {
        "verdict": verdict,
        "num_candidates": len(correct),
        "num_images": len(labels),
        "chance": chance,
        "num_above_chance": above,
        "odds_ratio": odds_ratio(mean, chance),
        "candidates_low": float(accuracies.min()),
        "candidates_mean": mean,
        "candidates_high": float(accuracies.max()),
        "spread_ratio": spread.ratio,
        "spread_p": spread.p,
        "reliability": reliability.value,
        "reliability_low": reliability.low,
        "reliability_high": reliability.high,
        "remark": reliability.reason,
    }


def chance_level(labels: NDArray[np.int64]) -> float:
    """Accuracy of always answering the commonest class."""
    return float(np.bincount(labels).max() / len(labels))


def odds_ratio(accuracy: float, chance: float) -> float:
    """Odds of a right answer, as a multiple of those of guessing; 0 where guessing is always right."""
    if chance >= 1:
        return 0.0
    if accuracy >= 1:
        return math.inf
    return accuracy / (1 - accuracy) * (1 - chance) / chance


def num_above_chance(correct: NDArray[np.bool_], chance: float) -> int:
    """Candidates whose accuracy exceeds guessing: exact one-sided binomial tests, corrected for their number by Holm's
    method."""
    from scipy.stats import binom

    p_values = binom.sf(correct.sum(axis=1) - 1, correct.shape[1], chance)
    return sum(p < ALPHA for p in holm(p_values.tolist()))


def beyond_guessing(accuracy: float, num_images: int, chance: float) -> bool:
    """Whether an accuracy over so many images, each answered once, shows that the weights have learned: by the binomial
    test and by its odds. The answers may come from several arcs, and the count from a mean over batches of nearly equal
    size: what that rounds away is far below what the odds ask for."""
    from scipy.special import bdtrc  # what scipy.stats computes with, at a fourth of its memory

    p = bdtrc(round(accuracy * num_images) - 1, num_images, chance)
    return bool(p < ALPHA) and odds_ratio(accuracy, chance) >= LEARNED_ODDS


class Spread(NamedTuple):
    """The candidates' differences in accuracy, against those of equal candidates."""

    ratio: float | None
    """Variance of the accuracies over that which the images give by themselves: 1 is expected of equal candidates. None
    where all are right on the same images."""
    p: float | None


def spread_against_noise(correct: NDArray[np.bool_]) -> Spread:
    """Cochran's Q (1950) divided by its expected value A - 1.

    Candidates answer the same images, so what an image adds to all of them must not count. Under the hypothesis of
    equal candidates the answers to an image could be exchanged, whatever the image. Q's chi-squared distribution takes
    the candidates' answers for equally correlated, but arcs that share operations answer more alike than others: the
    degrees of freedom are corrected as in an analysis of variance with repeated measures (Box 1954)."""
    from scipy.stats import chi2

    without_images = correct - correct.mean(axis=0)
    covariance = without_images @ without_images.T
    noise = float(np.trace(covariance))
    if noise == 0:
        return Spread(None, None)
    totals = correct.sum(axis=1)
    ratio = float(((totals - totals.mean()) ** 2).sum()) / noise
    freedom = noise**2 / float((covariance**2).sum())
    return Spread(ratio, float(chi2.sf(ratio * freedom, freedom)))


def weakest(checks: Sequence[Row]) -> Row:
    """Of the checks of several searches the one that promises least: by verdict, then by reliability, then by the
    candidates' mean accuracy."""

    def promise(row: Row) -> tuple[int, float, float]:
        reliability = row["reliability"]
        return VERDICTS.index(row["verdict"]), -1.0 if reliability is None else reliability, row["candidates_mean"]

    return min(checks, key=promise)


def sentence(verdict: str, row: Row) -> str:
    """What a verdict means, in words; `row` holds the candidates' accuracies, `chance` and the reliability."""
    span = f"candidates {100 * row['candidates_low']:.1f} to {100 * row['candidates_high']:.1f} %"
    against = f"where guessing gives {100 * row['chance']:.1f} %"
    if verdict == "at chance":
        return (
            f"the shared weights have not learned: {span} {against};"
            " their order is noise; the selected arc is a random one"
        )
    learned = f"the shared weights have learned: {span} {against}"
    if verdict == "order is noise":
        return (
            f"{learned}; but they do not tell these arcs apart: their order is noise; the selected arc is a random one"
        )
    reliability = in_words(row["reliability"], row["reliability_low"], row["reliability_high"])
    return f"{learned}; the order of the arcs repeats, right or not: reliability {reliability}"


def in_words(value: float, low: float | None, high: float | None) -> str:
    """A correlation with its interval, where there is one."""
    return f"{value:.2f}" if low is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"
