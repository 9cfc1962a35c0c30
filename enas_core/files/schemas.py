"""What the columns of each kind of table are: type, unit, meaning, and which values there can be.

Declared here once: files are written and checked by it (`enas_core.files.tables`), their Arrow fields carry unit and
description, and the documentation's tables of columns are made from it. No column ever holds NaN.

A column that is added later is `later`, since tables of an earlier version lack it.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from enas_core.files.columns import Column, Table, correlation, count, fraction, mark, number, perhaps, text

# --- columns of several tables ------------------------------------------------------------------------------------

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
SPEED = number("images/s", "Training images a second.", 0)
SECONDS = number("s", "Time of the epoch, evaluations included.", 0)
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

SIGNAL_CHECK: dict[str, Column] = {
    "verdict": text("`at chance`, `order is noise` or `order repeats`."),
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


# --- the tables ---------------------------------------------------------------------------------------------------

RANDOM_ARCS = Table(
    "a random arc",
    {
        "network": text("Name of the network."),
        "sampler": text("How the arc was drawn."),
        "seed": count("", "Seed of the baseline; arc i depends on it and on i."),
        "index": count("", "i, counted from 0."),
        "space": SPACE,
        "arc": ARC,
    },
    same=("sampler", "seed", "space"),
    may_be_empty=True,
    file="random_arcs.parquet",
)

SEARCH_EPOCHS = Table(
    "an epoch of a search",
    {
        "experiment": EXPERIMENT,
        "dataset": DATASET,
        "seed": SEARCH_SEED,
        "epoch": EPOCH,
        "learning_rate": LEARNING_RATE,
        "train_loss": TRAIN_LOSS,
        "train_accuracy": TRAIN_ACCURACY,
        "valid_accuracy": fraction("Mean over the validation batches, a freshly sampled arc for each."),
        "test_accuracy": fraction("Mean over the test batches, a freshly sampled arc for each. It chooses nothing."),
        "controller_loss": number("", "Mean over the policy's updates; null where nothing learns.", null=True),
        "controller_reward": number("", "Mean reward over the updates; null where nothing learns.", null=True),
        "controller_baseline": number("", "Moving mean of the rewards; null where nothing learns.", null=True),
        "controller_entropy": number("nats an arc", "Mean over the updates; null where nothing learns.", null=True),
        "controller_grad_norm": number("", "Mean over the updates; null where nothing learns.", 0, null=True),
        "images_per_second": SPEED,
        "seconds": SECONDS,
    },
    same=("experiment", "dataset", "seed"),
    file="search/s{S}/epochs.parquet",
)

CANDIDATES = Table(
    "an arc that was scored with the shared weights of a search",
    {
        "source": text("Who proposed the arc: `policy`, another `strategy`, `random` or `named`."),
        "policy": text("The policy, or other strategy, that proposed it; null for the other sources.", null=True),
        "space": SPACE,
        "arc": ARC,
        "valid_accuracy": fraction("Shared accuracy on the validation images."),
        "params": replace(PARAMS, description="Trainable values of its path through the supernet."),
        "macs": replace(MACS, description="Multiply-accumulates of that path for one image."),
        "selected": mark("Whether it is the found arc."),
        "on_front": mark(
            "Whether no other candidate costs as few `macs` and is more accurate, or costs fewer and is as accurate;"
            " null in tables of an earlier version.",
            null=True,
            later=True,
        ),
    },
    same=("space",),
    file="search/s{S}/own/candidates.parquet, search/s{S}/candidates.parquet",
)

STRATEGIES = Table(
    "an evaluation of a strategy that chooses an arc after a search",
    {
        "experiment": EXPERIMENT,
        "dataset": DATASET,
        "seed": SEARCH_SEED,
        "strategy": text("How it proposes arcs: `policy`, `random`, `evolution` or `local_search`."),
        "evaluation": count("", "Which of its evaluations, counted from 1.", 1),
        "space": SPACE,
        "arc": ARC,
        "valid_accuracy": fraction("Shared accuracy on the validation images."),
        "best_so_far": fraction("The highest of them up to this evaluation."),
        "params": replace(PARAMS, description="Trainable values of its path through the supernet."),
        "macs": replace(MACS, description="Multiply-accumulates of that path for one image."),
        "selected": mark("Whether it is the strategy's choice."),
    },
    same=("experiment", "dataset", "seed", "space"),
    file="search/s{S}/strategies.parquet",
)

SIGNAL = Table(
    "the signal check of a search's own candidates",
    {
        "experiment": EXPERIMENT,
        "dataset": DATASET,
        "seed": SEARCH_SEED,
        **SIGNAL_CHECK,
        "seconds": number(
            "s",
            "Time that proposing, scoring and checking the candidates took; null in tables of an earlier version.",
            0,
            null=True,
            later=True,
        ),
    },
    same=("experiment", "dataset", "seed"),
    file="search/s{S}/signal.parquet",
)

AUGMENT_EPOCHS = Table(
    "an epoch of a training from scratch",
    {
        "experiment": EXPERIMENT,
        "dataset": DATASET,
        "network": text("Name of the network."),
        "space": SPACE,
        "arc": ARC,
        "seed": TRAINING_SEED,
        "epoch": EPOCH,
        "learning_rate": LEARNING_RATE,
        "drop_path_keep_prob": fraction("Share of the last layer's paths that are kept at the epoch's end."),
        "train_loss": TRAIN_LOSS,
        "train_accuracy": TRAIN_ACCURACY,
        "test_loss": number("nats", "Mean cross-entropy over the test images.", 0),
        "test_accuracy": fraction("Share of the test images that were answered correctly."),
        "test_balanced_accuracy": fraction(
            "Mean over the classes of the share of their test images that is answered correctly; null in tables of an"
            " earlier version.",
            null=True,
            later=True,
        ),
        "valid_loss": number("nats", "Of the held-out images; null where there are none.", 0, null=True),
        "valid_accuracy": fraction("Of the images that `augment.valid_images` holds out, or null.", null=True),
        "images_per_second": SPEED,
        "seconds": SECONDS,
    },
    same=("experiment", "dataset", "network", "space", "arc", "seed"),
    file="networks/{network}/seed{A}/epochs.parquet",
)

METRICS = Table(
    "a training from scratch",
    {
        "experiment": EXPERIMENT,
        "trained_by": text(
            "The experiment that trained the network, which for random networks may be another one (`baseline.from`);"
            " null where unknown.",
            null=True,
        ),
        "dataset": DATASET,
        "network": text("Name of the network."),
        "role": text("Where its arc comes from: `searched`, `random`, `named` or `strategy`."),
        "space": SPACE,
        "arc": ARC,
        "search_seed": perhaps(replace(SEARCH_SEED, description="Seed of the search that found it, or null.")),
        "seed": TRAINING_SEED,
        "params": PARAMS,
        "macs": MACS,
        "shared_accuracy": fraction(
            "Shared accuracy: by the own supernet for a found arc, else the mean over the search seeds; null"
            " where none has scored it.",
            null=True,
        ),
        "test_accuracy": fraction("Share of the test images answered correctly, after the last epoch."),
        "balanced_accuracy": fraction(
            "Mean of that share over the classes, after the last epoch; null in tables of an earlier version.",
            null=True,
            later=True,
        ),
        "test_error": fraction("1 - test_accuracy."),
        "epochs": count("epochs", "Length of the training."),
        "seconds": number("s", "Time of its epochs.", 0),
        "search_seconds": number("s", "Time of the epochs of the search that found it, or null.", 0, null=True),
        "device": text("Where it was trained."),
        "valid_accuracy": fraction(
            "Of the held-out images after the last epoch; null where there are none.", null=True
        ),
        "strategy": text(
            "How its arc was chosen after a search; null for random and named ones and in earlier versions.",
            null=True,
            later=True,
        ),
        "select_seconds": number(
            "s",
            "Time of the selection that chose it, or null, as in tables of an earlier version.",
            0,
            null=True,
            later=True,
        ),
    },
    same=("experiment", "dataset"),
    file="metrics.parquet",
)

TOO_FEW = "null where there are too few networks"
COMPARISON = Table(
    "an experiment: its found networks against random ones; see `enas_core.analysis.comparison.summarise`",
    {
        "experiment": EXPERIMENT,
        "dataset": DATASET,
        "n_searched": count("networks", "Found networks."),
        "n_random": count("networks", "Random networks."),
        "searched_mean": fraction(f"Mean test accuracy of the found networks; {TOO_FEW}.", null=True),
        "searched_std": fraction(f"Standard deviation between them; {TOO_FEW}.", null=True),
        "random_mean": fraction(f"Mean test accuracy of the random networks; {TOO_FEW}.", null=True),
        "random_std": fraction(f"Standard deviation between them; {TOO_FEW}.", null=True),
        "relative_improvement": number("%", f"100 (searched_mean - random_mean) / random_mean; {TOO_FEW}.", null=True),
        "ri_low": number("%", f"Lower end of its 95 % interval; {TOO_FEW}.", null=True),
        "ri_high": number("%", f"Upper end of its 95 % interval; {TOO_FEW}.", null=True),
        "p_value": fraction(f"Permutation test against a higher mean of the found networks; {TOO_FEW}.", null=True),
        "searched_balanced_mean": fraction(
            f"As searched_mean, of the balanced accuracy; {TOO_FEW}.", null=True, later=True
        ),
        "random_balanced_mean": fraction(
            f"As random_mean, of the balanced accuracy; {TOO_FEW}.", null=True, later=True
        ),
        "kendall_tau": TAU,
        "tau_low": TAU_LOW,
        "tau_high": TAU_HIGH,
        "searched_params_mean": number("parameters", f"Mean size of the found networks; {TOO_FEW}.", 0, null=True),
        "random_params_mean": number("parameters", f"Mean size of the random networks; {TOO_FEW}.", 0, null=True),
        "search_hours": number("h", "Time of all searches; null where unknown.", 0, null=True),
        "train_hours": number("h", "Time of all trainings from scratch; null where unknown.", 0, null=True),
        "signal": text("Verdict of the signal check that promises least; null where none is known.", null=True),
        "num_searches": count("searches", "Searches that were checked; null where none was.", null=True),
        "signal_seed": perhaps(replace(SEARCH_SEED, description="Seed of the search whose check promises least.")),
        "chance": perhaps(CHANCE),
        "candidates_low": perhaps(CANDIDATES_LOW),
        "candidates_mean": perhaps(CANDIDATES_MEAN),
        "candidates_high": perhaps(CANDIDATES_HIGH),
        "reliability": RELIABILITY,
        "reliability_low": RELIABILITY_LOW,
        "reliability_high": RELIABILITY_HIGH,
        "agreement": correlation("How far search seeds rank the same random arcs alike; null where unknown."),
        "agreement_low": correlation("Lower end of its 95 % interval; null where unknown."),
        "agreement_high": correlation("Upper end of its 95 % interval; null where unknown."),
        "k": K,
        "precision_at_k": PRECISION_AT_K,
        "regret_at_k": REGRET_AT_K,
        "select_hours": number("h", "Time of all selections; null where unknown.", 0, null=True, later=True),
        "equal_hours_k": count(
            "networks",
            "Random arcs whose trainings cost as many hours as one found network does, with its search, selection and"
            " training, rounded down; null where unknown.",
            1,
            null=True,
            later=True,
        ),
        "equal_hours_accuracy": fraction(
            "Expected test accuracy of the one of so many random arcs that has the best validation accuracy; null where"
            " there are fewer arcs, or no validation images.",
            null=True,
            later=True,
        ),
        "equal_hours_low": number("fraction", f"Lower end of its 95 % interval; {TOO_FEW}.", null=True, later=True),
        "equal_hours_high": number("fraction", f"Upper end of its 95 % interval; {TOO_FEW}.", null=True, later=True),
        "equal_hours_gain": number(
            "fraction",
            "searched_mean - equal_hours_accuracy; null where that is.",
            -1,
            1,
            null=True,
            later=True,
        ),
        "gain_low": number("fraction", f"Lower end of its 95 % interval; {TOO_FEW}.", null=True, later=True),
        "gain_high": number("fraction", f"Upper end of its 95 % interval; {TOO_FEW}.", null=True, later=True),
    },
    file="comparison.parquet",
)

HALVING = Table(
    "a share of the random arcs that could go on, in a replay of successive halving; see `enas_core.analysis.halving`",
    {
        "experiment": EXPERIMENT,
        "dataset": DATASET,
        "n_random": count("networks", "Random arcs whose complete trainings are replayed."),
        "rungs": text("The epochs after which some of them would have gone on; null without a replay.", null=True),
        "keep": fraction("The share that goes on at each rung, rounded up; null without a replay.", null=True),
        "n_survivors": count("networks", "Arcs that reach the end; null without a replay.", 1, null=True),
        "cost_share": fraction("Hours, as a share of the complete trainings'; null without a replay.", null=True),
        "best_share": fraction(
            "Share of the n_survivors best arcs, by test accuracy at the end, that reach it; null without a replay.",
            null=True,
        ),
        "regret": fraction(
            "Test accuracy that the best of those that reach the end is below the best of all; null without a replay.",
            null=True,
        ),
        "remark": text("Why there is no replay; empty where there is one."),
    },
    may_be_empty=True,
    file="halving.parquet",
)

CLASS_INTERVAL = (
    "its 95 % binomial interval (Wilson 1927); null where there are no images, and in tables of an earlier version."
)
CLASSES = Table(
    "a class of the final network's dataset",
    {
        "experiment": EXPERIMENT,
        "dataset": DATASET,
        "label": count("", "Its number, counted from 0."),
        "class": text("Its name."),
        "test_images": count("images", "Test images of the class."),
        "answered": count("images", "Test images for which the class was the answer."),
        "correct": count("images", "Those of them that are of the class."),
        "accuracy": fraction("correct / test_images; null where there are none.", null=True),
        "accuracy_low": fraction(f"Lower end of {CLASS_INTERVAL}", null=True, later=True),
        "accuracy_high": fraction(f"Upper end of {CLASS_INTERVAL}", null=True, later=True),
        "precision": fraction("correct / answered; null where it was never answered.", null=True),
    },
    same=("experiment", "dataset"),
    may_be_empty=True,
    file="classes.parquet",
)

CONFUSION = Table(
    "a pair of classes",
    {
        "experiment": EXPERIMENT,
        "dataset": DATASET,
        "class": text("The class of the test images."),
        "answer": text("What the final network took them for."),
        "images": count("images", "So many."),
    },
    same=("experiment", "dataset"),
    may_be_empty=True,
    file="confusion.parquet",
)

PREDICTIONS = Table(
    "an image and one of its likeliest classes, or an image that could not be read",
    {
        "file": text("The image."),
        "class": text("The class in whose folder the image lies; null where it lies in none.", null=True),
        "rank": count("", "1 is the likeliest; null where the image could not be read.", 1, null=True),
        "answer": text("The class; null where the image could not be read.", null=True),
        "probability": fraction("The network's; null where the image could not be read.", null=True),
        "correct": mark("Whether the answer is the class of the folder; null where there is none.", null=True),
        "error": text("Why the image could not be read; null where it could.", null=True),
    },
    may_be_empty=True,
    file="enas predict --out FILE",
)

ABLATION = Table(
    "a search of a variant of the experiment",
    {
        "experiment": EXPERIMENT,
        "dataset": DATASET,
        "variant": text("Name of the variant."),
        "preset": text("The preset that it changes one setting of, or is."),
        "key": text("The search setting that has the other preset's value; null for the preset itself.", null=True),
        "seed": SEARCH_SEED,
        **{name: perhaps(column) for name, column in SIGNAL_CHECK.items()},
        "n_random": count("networks", "Random arcs, trained from scratch, that judge the ranking."),
        "random_mean": fraction("Their mean shared accuracy; null where there are none.", null=True),
        "kendall_tau": TAU,
        "tau_low": TAU_LOW,
        "tau_high": TAU_HIGH,
        "k": K,
        "precision_at_k": PRECISION_AT_K,
        "regret_at_k": REGRET_AT_K,
        "controller_entropy": number("nats an arc", "Of the last epoch; null where nothing learns.", null=True),
        "hours": number("h", "Time of the search's epochs on its devices.", 0),
    },
    same=("experiment", "dataset"),
    file="ablation.parquet",
)

TABLES: dict[str, Table] = {
    "random_arcs": RANDOM_ARCS,
    "search_epochs": SEARCH_EPOCHS,
    "candidates": CANDIDATES,
    "strategies": STRATEGIES,
    "signal": SIGNAL,
    "augment_epochs": AUGMENT_EPOCHS,
    "metrics": METRICS,
    "comparison": COMPARISON,
    "halving": HALVING,
    "classes": CLASSES,
    "confusion": CONFUSION,
    "predictions": PREDICTIONS,
    "ablation": ABLATION,
}
"""By the kind that a file's metadata names."""

SCHEMAS: dict[str, pa.Schema] = {kind: table.schema for kind, table in TABLES.items()}

LATER_COLUMNS: dict[str, tuple[str, ...]] = {
    kind: tuple(name for name, column in table.columns.items() if column.later) for kind, table in TABLES.items()
}
"""Columns of each kind that tables of an earlier version lack."""

TIMING_COLUMNS = ("images_per_second", "seconds")
"""Columns that differ between two runs with the same results."""
