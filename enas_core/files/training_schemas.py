"""The tables that random_arcs, search, select_arc and augment write, and the one of all trainings
(`enas_core.files.schemas`)."""

from __future__ import annotations

from dataclasses import replace

from enas_core.files.columns import Table, by_machine, count, duration, fraction, mark, number, perhaps, text
from enas_core.files.common_columns import (
    ARC,
    DATASET,
    EPOCH,
    EXPERIMENT,
    LEARNING_RATE,
    MACS,
    PARAMS,
    SEARCH_SEED,
    SECONDS,
    SIGNAL_CHECK,
    SPACE,
    SPEED,
    TRAIN_ACCURACY,
    TRAIN_LOSS,
    TRAINING_SEED,
)

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
        "seconds": duration(
            "s",
            "Time that proposing, scoring and checking the candidates took; null in tables of an earlier version.",
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
        "seconds": duration("s", "Time of its epochs."),
        "search_seconds": duration("s", "Time of the epochs of the search that found it, or null.", null=True),
        "device": by_machine(text("Where it was trained.")),
        "valid_accuracy": fraction(
            "Of the held-out images after the last epoch; null where there are none.", null=True
        ),
        "strategy": text(
            "How its arc was chosen after a search; null for random and named ones and in earlier versions.",
            null=True,
            later=True,
        ),
        "select_seconds": duration(
            "s",
            "Time of the selection that chose it, or null, as in tables of an earlier version.",
            null=True,
            later=True,
        ),
        "git_commit": text(
            "Commit of the code that trained it, with `-dirty` where files differed from it; `unknown` in a copy"
            " without git; null in tables of an earlier version.",
            null=True,
            later=True,
        ),
    },
    same=("experiment", "dataset"),
    file="metrics.parquet",
)
