"""The tables that are made from those of the trainings, or from a trained network (`enas_core.files.schemas`)."""

from __future__ import annotations

from dataclasses import replace

from enas_core.files.columns import (
    Table,
    by_machine,
    correlation,
    count,
    duration,
    fraction,
    mark,
    number,
    one_of,
    perhaps,
    text,
)
from enas_core.files.common_columns import (
    CANDIDATES_HIGH,
    CANDIDATES_LOW,
    CANDIDATES_MEAN,
    CHANCE,
    DATASET,
    EXPERIMENT,
    PRECISION_AT_K,
    REGRET_AT_K,
    RELIABILITY,
    RELIABILITY_HIGH,
    RELIABILITY_LOW,
    SEARCH_SEED,
    SIGNAL_CHECK,
    TAU,
    TAU_HIGH,
    TAU_LOW,
    VERDICTS,
    K,
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
        "search_hours": duration("h", "Time of all searches; null where unknown.", null=True),
        "train_hours": duration("h", "Time of all trainings from scratch; null where unknown.", null=True),
        "signal": one_of(
            VERDICTS, "Verdict of the signal check that promises least; null where none is known.", null=True
        ),
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
        "select_hours": duration("h", "Time of all selections; null where unknown.", null=True, later=True),
        "equal_hours_k": by_machine(
            count(
                "networks",
                "Random arcs whose trainings cost as many hours as one found network does, with its search, selection"
                " and training, rounded down; null where unknown.",
                1,
                null=True,
                later=True,
            )
        ),
        "equal_hours_accuracy": by_machine(
            fraction(
                "Expected test accuracy of the one of so many random arcs that has the best validation accuracy; null"
                " where there are fewer arcs, or no validation images.",
                null=True,
                later=True,
            )
        ),
        "equal_hours_low": by_machine(
            number("fraction", f"Lower end of its 95 % interval; {TOO_FEW}.", null=True, later=True)
        ),
        "equal_hours_high": by_machine(
            number("fraction", f"Upper end of its 95 % interval; {TOO_FEW}.", null=True, later=True)
        ),
        "equal_hours_gain": by_machine(
            number(
                "fraction",
                "searched_mean - equal_hours_accuracy; null where that is.",
                -1,
                1,
                null=True,
                later=True,
            )
        ),
        "gain_low": by_machine(
            number("fraction", f"Lower end of its 95 % interval; {TOO_FEW}.", null=True, later=True)
        ),
        "gain_high": by_machine(
            number("fraction", f"Upper end of its 95 % interval; {TOO_FEW}.", null=True, later=True)
        ),
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
        "cost_share": by_machine(
            fraction("Hours, as a share of the complete trainings'; null without a replay.", null=True)
        ),
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
        "hours": duration("h", "Time of the search's epochs on its devices."),
    },
    same=("experiment", "dataset"),
    file="ablation.parquet",
)
