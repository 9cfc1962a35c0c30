"""Every case of the golden directory (`ENAS_GOLDEN`, default `tests/golden`) against this project.

The files may be any of the documented kinds, with any arcs, layers, filters and batch sizes; one that is
absent is not checked, but a directory without a single case is a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from check_controller import controller_cases
from check_networks import logit_cases, parameter_cases
from check_quirks import quirk_cases
from check_schedules import drop_path_cases, learning_rate_cases
from check_training import training_cases
from golden import DIRECTORY, Case, Comparison


def no_case() -> Iterator[Comparison]:
    raise AssertionError(f"{DIRECTORY}: no golden case is there")


KINDS = (
    parameter_cases,
    logit_cases,
    controller_cases,
    learning_rate_cases,
    drop_path_cases,
    training_cases,
    quirk_cases,
)
CASES = [case for cases in KINDS for case in cases()] or [Case("directory", no_case)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Case, compare: Callable[[Comparison], None]) -> None:
    comparisons = list(case.check())
    assert comparisons, "nothing is compared"
    for comparison in comparisons:
        compare(comparison)
