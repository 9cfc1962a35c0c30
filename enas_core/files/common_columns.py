"""Columns that several kinds of tables have (`enas_core.files.schemas`)."""

from __future__ import annotations

from typing import Literal, get_args

import pyarrow as pa

from enas_core.files.columns import Column, by_machine, correlation, count, duration, fraction, number, one_of, text

EXPERIMENT = text("The experiment, as config.yaml or a variant names it.")
DATASET = text("The dataset.")
SPACE = text("The search space of the arc.")
ARC = text("The architecture, in the text form of its search space.")
SEARCH_SEED = count("", "Seed of the search.")
TRAINING_SEED = count("", "Seed of the training from scratch.")
EPOCH = count("", "Which epoch, counted from 0.")
LEARNING_RATE = number("", "The learning rate at the epoch's start.", 0)
TRAIN_LOSS = number("nats", "Mean cross-entropy of the main classifier over the epoch's training images.", 0)
TRAIN_ACCURACY = fraction("Share of the epoch's training images that were answered correctly, before each step.")
SPEED = by_machine(number("images/s", "Training images a second.", 0))
SECONDS = duration("s", "Time of the epoch, evaluations included.")
PARAMS = count("parameters", "Trainable values of the network, without auxiliary head.")
MACS = count("multiply-accumulates", "Multiply-accumulates for one image, without auxiliary head.")
CHANCE = fraction("Accuracy of always answering the commonest class of the validation images.")
CANDIDATES_LOW = fraction("Lowest shared accuracy of the candidates.")
CANDIDATES_MEAN = fraction("Their mean shared accuracy.")
CANDIDATES_HIGH = fraction("Their highest shared accuracy.")
RELIABILITY = correlation("How far the candidates' order would repeat on as many other images; null where unknown.")
RELIABILITY_LOW = correlation("Lower end of its 95 % interval; null where unknown.")
RELIABILITY_HIGH = correlation("Upper end of its 95 % interval; null where unknown.")
TAU = correlation(
    "Kendall's tau between shared accuracy and test accuracy after training from scratch; null where there are"
    " too few networks."
)
TAU_LOW = correlation("Lower end of its 95 % interval; null where unknown.")
TAU_HIGH = correlation("Upper end of its 95 % interval; null where unknown.")
K = count("networks", "How many networks count as the first ones by shared accuracy; null where unknown.", null=True)
PRECISION_AT_K = fraction("Share of the best k by test accuracy among the first k; null where unknown.", null=True)
REGRET_AT_K = fraction(
    "Test accuracy that the best of the first k is below the best of all; null where unknown.", null=True
)

Verdict = Literal["at chance", "order is noise", "order repeats"]
VERDICTS: tuple[str, ...] = get_args(Verdict)
"""Of the check of a search's candidates, from the worst to the best."""

SIGNAL_CHECK: dict[str, Column] = {
    "verdict": one_of(VERDICTS, "What the searched weights' order of arcs is worth."),
    "num_candidates": count("arcs", "Candidates that were checked."),
    "num_images": count("images", "Validation images that each of them answered."),
    "chance": CHANCE,
    "num_above_chance": count("arcs", "Candidates that are better than chance beyond doubt."),
    "odds_ratio": Column(
        pa.float64(),
        "Odds of the candidates' mean accuracy over the odds of chance; infinite where all answers are right.",
        low=0,
        high=float("inf"),
    ),
    "candidates_low": CANDIDATES_LOW,
    "candidates_mean": CANDIDATES_MEAN,
    "candidates_high": CANDIDATES_HIGH,
    "spread_ratio": number(
        "", "Variance of their accuracies over that of equal candidates; null where all answer alike.", 0, null=True
    ),
    "spread_p": fraction("p-value of that ratio; null where all answer alike.", null=True),
    "reliability": RELIABILITY,
    "reliability_low": RELIABILITY_LOW,
    "reliability_high": RELIABILITY_HIGH,
    "remark": text("Why something is null; empty where nothing is."),
}
"""Columns of the check of one search's candidates, in `signal` and in `ablation`; see `enas_core.analysis.signal`."""
