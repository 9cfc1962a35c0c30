"""A golden directory without a single case, such as a mistyped one, must not pass because all tests are skipped."""

from __future__ import annotations

import test_controller
import test_logits
import test_parameters
import test_quirks
import test_schedules
import test_training_steps
from golden import DIRECTORY


def test_directory_has_a_case() -> None:
    cases = (
        test_parameters.NETWORKS,
        test_parameters.SUPERNETS,
        test_logits.LOGITS,
        test_logits.LOGITS_AFTER_TRAINING,
        test_logits.LAYERS,
        test_logits.LAYER_SHAPES,
        test_controller.FORCED,
        test_controller.UPDATES,
        test_controller.NUM_PARAMS,
        test_controller.FIRST_DECISION,
        test_controller.INITIAL_OPERATIONS,
        test_schedules.EVERY_STEP,
        test_schedules.BY_EPOCH,
        test_schedules.FIRST_STEPS,
        test_schedules.DROP_PATH,
        test_training_steps.RUNS,
        test_quirks.INITIAL,
        test_quirks.BIAS_GRADIENT,
        test_quirks.WEIGHT_GRADIENT_NORMS,
        test_quirks.UNSAMPLED_CHANGE,
    )
    assert any(cases), f"{DIRECTORY}: no golden case is there"
