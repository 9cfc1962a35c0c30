"""Settings in words."""

import json
from pathlib import Path

import pytest

from enas_core.settings.describe import describe
from enas_core.settings.stages import STAGES, stage_settings
from enas_core.settings.workflow import load_workflow

EXPERIMENTS = load_workflow(Path(__file__).parents[2] / "config.yaml").experiments


def value_at(settings, key):
    for name in key.split("."):
        settings = settings[name]
    return settings


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_of_a_stage_has_its_value_and_a_meaning(stage):
    settings = stage_settings("cifar10", EXPERIMENTS["cifar10"], stage)
    dumped = settings.model_dump(mode="json", by_alias=True)
    described = describe(settings)
    assert len({row.key for row in described}) == len(described)
    for row in described:
        assert json.loads(row.value) == value_at(dumped, row.key)
        if row.key not in ("experiment", "dataset"):
            assert row.meaning, row.key


def test_transferred_arcs_are_named_by_their_experiment():
    (row,) = [row for row in describe(EXPERIMENTS["cifar100"]) if row.key == "arcs"]
    assert json.loads(row.value) == {"transfer": "cifar10"}
