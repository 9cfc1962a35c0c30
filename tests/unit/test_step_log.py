"""The log of an epoch's steps."""

import pytest
import torch

from enas_core.training.step_log import StepLog

CPU = torch.device("cpu")


def step_log(rows):
    log = StepLog(len(rows), CPU)
    for step, (loss, norm, hit) in enumerate(rows):
        log.record(step, torch.tensor(loss), torch.tensor(norm), torch.tensor(hit))
    return log


def test_totals_weigh_each_image_alike():
    loss, accuracy = step_log([(2.0, 1.0, 3), (1.0, 1.0, 4), (4.0, 1.0, 1)]).totals([4, 4, 2])
    assert loss == pytest.approx((4 * 2 + 4 * 1 + 2 * 4) / 10)
    assert accuracy == pytest.approx(8 / 10)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("column", [0, 1])
def test_the_first_step_that_is_not_finite(bad, column):
    rows = [[1.0, 1.0, 1] for _ in range(5)]
    rows[2][column] = rows[4][column] = bad
    log = step_log(rows)
    assert [log.first_divergence(steps) for steps in range(6)] == [None, None, None, 2, 2, 2]


def test_no_divergence():
    assert step_log([(1e30, 1e30, 0)] * 3).first_divergence(3) is None
