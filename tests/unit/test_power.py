"""What so many networks can show: against simulation of the comparison's own test, and in words."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows import row_of

from enas_core.analysis.power import (
    POWER,
    PUBLISHED,
    UNIT,
    Spread,
    detectable_difference,
    lowest_p,
    measured_spread,
    networks_needed,
    power,
    what_shows,
)
from enas_core.analysis.results import finished_trainings
from enas_core.analysis.sentences import sentences
from enas_core.analysis.statistics import ALPHA, MIN_RANDOM, MIN_SEARCHED, permutation_test, smallest_p
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import write_table
from enas_core.planning.evidence import describe_evidence
from enas_core.settings.experiment import Experiment
from enas_core.settings.stages import fingerprint, stage_settings
from enas_core.settings.workflow import load_workflow

CIFAR10 = PUBLISHED["cifar10"]
EXPERIMENTS = load_workflow(Path(__file__).parents[2] / "config.yaml").experiments


def share_found(num_searched: int, num_random: int, spread: Spread, difference: float, repeats: int = 400) -> float:
    """How often the comparison's test finds a true difference of normal accuracies."""
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(repeats):
        searched = generator.normal(difference, spread.searched, num_searched)
        random = generator.normal(0.0, spread.random, num_random)
        p = permutation_test(searched.tolist(), random.tolist(), resamples=999).value
        assert p is not None
        found += p < ALPHA
    return found / repeats


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("searched", "random", "spread"),
    [
        (1, 20, UNIT),
        (2, 8, UNIT),
        (4, 12, CIFAR10),
        (4, 8, Spread(1.0, 2.0, "")),
        (4, 8, Spread(2.0, 1.0, "")),
        (8, 8, Spread(2.0, 1.0, "")),
    ],
)
def test_the_detectable_difference_is_found_so_often(searched: int, random: int, spread: Spread) -> None:
    difference = detectable_difference(searched, random, spread)
    assert difference is not None
    assert power(searched, random, spread, difference) == pytest.approx(POWER)
    assert share_found(searched, random, spread, difference) == pytest.approx(POWER, abs=0.08)


def test_nothing_is_found_too_often_where_nothing_is() -> None:
    for searched, random in itertools.product((1, 2, 4, 9), (5, 20, 50)):
        if lowest_p(searched, random) < ALPHA:
            assert power(searched, random, UNIT, 0.0) <= ALPHA


def test_a_tenth_of_a_point_at_the_published_spread() -> None:
    """84 networks of each kind find 0.12 points; for 0.1 they would have to be 124."""
    assert detectable_difference(84, 84, CIFAR10) == pytest.approx(0.00121, abs=5e-6)
    assert networks_needed(0.001, CIFAR10) == 124


@pytest.mark.parametrize("difference", [0.2, 0.5, 1.0, 3.0])
def test_networks_needed_are_just_enough(difference: float) -> None:
    count = networks_needed(difference, UNIT)
    enough, too_few = detectable_difference(count, count, UNIT), detectable_difference(count - 1, count - 1, UNIT)
    assert enough is not None
    assert enough <= difference
    assert too_few is None or too_few > difference


def test_more_networks_find_smaller_differences() -> None:
    counts = [4, 5, 6, 8, 12, 20, 40, 100]
    for other in (8, 30):
        for pairs in ([(n, other) for n in counts], [(other, n) for n in counts]):
            found = [detectable_difference(n, m, CIFAR10) for n, m in pairs]
            assert found == sorted(found, reverse=True)
            assert len(set(found)) == len(found)


def test_differences_are_of_the_unit_of_the_spread() -> None:
    once, twice = (detectable_difference(4, 12, Spread(s, 0.5 * s, "")) for s in (1.0, 2.0))
    assert once is not None
    assert twice == pytest.approx(2 * once)


def test_networks_that_do_not_differ_show_every_difference() -> None:
    assert detectable_difference(4, 12, Spread(0.0, 0.0, "")) == 0.0
    one_sided = detectable_difference(4, 12, Spread(0.0, 1.0, ""))
    assert one_sided is not None
    assert one_sided > 0


@pytest.mark.parametrize(("searched", "random"), [(1, 8), (1, 19), (2, 4), (1, 1)])
def test_too_few_networks_show_nothing(searched: int, random: int) -> None:
    assert smallest_p(searched, random) >= ALPHA
    assert detectable_difference(searched, random, UNIT) is None


def test_the_lowest_p_is_what_the_test_gives_at_best() -> None:
    for searched, random in ((1, 8), (3, 4), (4, 12), (8, 8)):
        best = permutation_test([2.0] * searched, np.linspace(0, 1, random).tolist()).value
        assert best == pytest.approx(lowest_p(searched, random), rel=1e-9)


def test_a_spread_needs_enough_networks() -> None:
    values = [0.1, 0.2, 0.3, 0.4]
    assert measured_spread([0.1] * 9, values[:3]) is None
    few = measured_spread([0.0, 0.9, 0.1], values)
    assert few is not None
    assert few.searched == few.random == pytest.approx(np.std(values, ddof=1))
    enough = measured_spread([0.1, 0.1, 0.2, 0.2], values)
    assert enough is not None
    assert enough.searched == pytest.approx(np.std([0.1, 0.1, 0.2, 0.2], ddof=1))


# --- words ----------------------------------------------------------------------------------------


def test_what_shows() -> None:
    assert what_shows(4, 12, CIFAR10) == (
        "4 found against 12 random networks: p is 0.00055 at best; a difference of 0.475 points (standard deviations"
        " 0.32 found, 0.31 random, published for ENAS at full size by Yang et al. 2020) shows with 80% power; half of"
        " it would need 23 of each"
    )
    assert what_shows(1, 8, CIFAR10) == (
        "1 found against 8 random networks: no difference can show, p is 0.111 at best; p < 0.05 needs at least 20"
        " random networks"
    )
    assert what_shows(4, 0, None) == "4 found against 0 random networks: nothing to compare"
    assert "a difference of 1.51 standard deviations (the spread of such networks is not" in what_shows(4, 12, None)
    assert what_shows(3, 20, None).endswith("an interval needs at least 4 found and 8 random networks")
    assert "a difference of 0 points" in what_shows(4, 12, Spread(0.0, 0.0, "all equal"))


def metrics(searched: list[float], random: list[float]) -> list[dict[str, Any]]:
    rows = []
    for role, values in (("searched", searched), ("random", random)):
        for index, value in enumerate(values):
            row: dict[str, Any] = dict.fromkeys(SCHEMAS["metrics"].names)
            rows.append(row | {"network": f"{role}-{index}", "role": role, "test_accuracy": value})
    return rows


def test_compare_says_what_its_runs_can_show() -> None:
    searched, random = [0.90, 0.91, 0.92, 0.93], [0.90 + i / 500 for i in range(12)]
    first, second, third = sentences({"x": metrics(searched, random)}, [], {})
    assert third.startswith("x: random search at equal hours")
    assert "found against random" in first
    assert second == f"x: {what_shows(4, 12, measured_spread(searched, random))}"
    assert "as measured between 4 and 12" in second
    only, _ = sentences({"x": metrics(searched[:1], random[:8])}, [], {})
    assert "cannot give less than 0.111" in only


def test_experiments_at_full_size_can_answer() -> None:
    for name in ("cifar10", "cifar100", "cifar10_corrected", "cifar100_corrected", "cifar10_random_policy"):
        experiment = EXPERIMENTS[name]
        searched, random = len(experiment.search.seeds), experiment.baseline.num_arcs
        assert lowest_p(searched, random) < ALPHA / 10
        assert searched >= MIN_SEARCHED
        assert random >= MIN_RANDOM
        assert f"{searched} found against {random} random" in describe_evidence(name, experiment, Path("nowhere"))


# --- the spread so far ----------------------------------------------------------------------------


def trained(folder: Path, network: str, role: str | None, accuracies: list[float], settings: str) -> None:
    """The table of a finished training with these accuracies in its epochs."""
    rows = [
        row_of("augment_epochs", network=network, epoch=epoch, test_accuracy=value)
        for epoch, value in enumerate(accuracies)
    ]
    made_by = {"config_fingerprint": settings} | ({} if role is None else {"role": role})
    write_table(folder / f"networks/{network}/seed1/epochs.parquet", "augment_epochs", rows, made_by)


def augment_fingerprint(name: str, experiment: Experiment) -> str:
    return fingerprint(stage_settings(name, experiment, "augment"))


def test_finished_trainings(tmp_path: Path) -> None:
    trained(tmp_path, "searched-s1", "searched", [0.1, 0.9], "now")
    trained(tmp_path, "random-00", "random", [0.8], "now")
    trained(tmp_path, "random-01", "random", [0.7], "before")
    trained(tmp_path, "random-02", None, [0.7], "now")
    trained(tmp_path, "random-03", "random", [], "now")
    broken = tmp_path / "networks/random-04/seed1/epochs.parquet"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"PAR1")
    assert finished_trainings(tmp_path, "now") == [
        {"network": "random-00", "role": "random", "test_accuracy": 0.8},
        {"network": "searched-s1", "role": "searched", "test_accuracy": 0.9},
    ]
    assert finished_trainings(tmp_path / "nowhere", "now") == []


def test_a_plan_takes_the_spread_measured_so_far(tmp_path: Path) -> None:
    experiment = EXPERIMENTS["cifar10"]
    settings = augment_fingerprint("cifar10", experiment)
    assert "by Yang et al. 2020" in describe_evidence("cifar10", experiment, tmp_path)
    for index in range(4):
        trained(tmp_path / "cifar10", f"random-0{index}", "random", [0.9 + index / 100], settings)
    said = describe_evidence("cifar10", experiment, tmp_path)
    assert "standard deviations 1.29 found, 1.29 random, as measured between 4 random ones" in said
    short = EXPERIMENTS["digits"].model_copy(update={"baseline": EXPERIMENTS["cifar10"].baseline})
    seeds = short.search.model_copy(update={"seeds": (1, 2)})
    said = describe_evidence("digits", short.model_copy(update={"search": seeds}), tmp_path)
    assert "standard deviations (the spread of such networks is not known yet)" in said
