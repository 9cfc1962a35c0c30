"""What an experiment takes from defaults, presets and other experiments."""

import copy
import json

import pytest
import yaml
from settings_files import ROOT, cifar, digits, message_of, parse

from enas_core.settings.presets import preset_values
from enas_core.settings.workflow import load_workflow, parse_workflow


def test_an_experiment_overrides_what_it_extends_section_by_section():
    found = parse(
        a=digits(search__l2=0.5, search__num_epochs=7),
        b={"extends": "a", "search": {"l2": 0.25}, "num_nodes": 3},
        c={"extends": "b", "num_nodes": 2, "search": None},
    )
    assert [(e.search.l2, e.search.num_epochs, e.num_nodes) for e in found.values()] == [
        (0.5, 7, 5),
        (0.25, 7, 3),
        (0.25, 7, 2),
    ]


@pytest.mark.parametrize("length", [2, 3, 4])
def test_experiments_that_extend_each_other(length):
    experiments = {f"e{i}": digits(extends=f"e{(i + 1) % length}") for i in range(length)}
    assert "is not another experiment" in message_of({"experiments": experiments})


@pytest.mark.parametrize("length", [2, 3, 4])
def test_transfers_that_form_a_cycle(length):
    experiments = {f"e{i}": digits(arcs={"x": {"from": f"e{(i + 1) % length}"}}) for i in range(length)}
    message = message_of({"experiments": {"outside": digits(arcs={"x": {"from": "e0"}}), **experiments}})
    assert message.startswith("experiments.e0.arcs.x.from: 'e1' itself takes an arc from 'e0'")


def test_transfers_without_a_cycle():
    found = parse(
        a=digits(arcs={"x": {"from": "b"}, "y": {"from": "c"}}), b=digits(arcs={"x": {"from": "c"}}), c=digits()
    )
    assert found["a"].arcs["y"].source == "c"


def test_a_transfer_from_an_experiment_whose_own_transfer_is_wrong():
    message = message_of(
        {"experiments": {"a": digits(arcs={"x": {"from": "b"}}), "b": digits(arcs={"x": {"from": "nowhere"}})}}
    )
    assert message.startswith("experiments.b.arcs.x.from: 'nowhere' is not another experiment; allowed: a")


def test_a_preset_is_between_the_defaults_and_the_experiment():
    found = parse(
        original=digits(),
        corrected=digits(preset="corrected"),
        mixed=digits(preset="corrected", search__clip_norm=1.0, search__controller={"op_bias_init": [1, 2, 3, 4, 5]}),
        child={"extends": "mixed", "augment": {"bn_zero_debias": True}},
    )
    for section, values in preset_values("corrected", "micro").items():
        for name, value in values.items():
            default = getattr(getattr(found["original"], section), name)
            corrected = getattr(getattr(found["corrected"], section), name)
            if isinstance(value, dict):
                assert json.loads(corrected.model_dump_json(include=set(value))) == value
                assert all(getattr(default, key) != getattr(corrected, key) for key in value)
            else:
                assert corrected == value != default
    for name in ("mixed", "child"):
        assert found[name].search.clip_norm == 1.0
        assert found[name].search.controller.op_bias_init == (1, 2, 3, 4, 5)
        assert found[name].search.controller.advantage_baseline == "previous"
    assert not found["mixed"].augment.bn_zero_debias
    assert found["child"].augment.bn_zero_debias


def test_a_child_may_change_the_preset():
    found = parse(a=digits(preset="corrected"), b={"extends": "a", "preset": "original"})
    assert found["b"] == parse(a=digits(preset="original"))["a"]


def test_reading_changes_nothing():
    raw = {"experiments": {"a": digits(preset="corrected"), "b": {"extends": "a"}}}
    before = copy.deepcopy(raw)
    parse_workflow(raw)
    assert raw == before


def test_yaml_numbers_that_are_texts():
    (found,) = parse(**yaml.safe_load(yaml.safe_dump({"a": digits()}) + "  num_nodes: 3\n")).values()
    assert found.num_nodes == 3
    assert parse(a=digits(search__l2="1e-4"))["a"].search.l2 == 1e-4


# --- defaults -----------------------------------------------------------------------------------


def test_defaults_are_the_originals_flags():
    experiment = parse(a=cifar())["a"]
    search, augment, controller = experiment.search, experiment.augment, experiment.search.controller
    assert experiment.num_nodes == 5
    for section, expected in (
        (search, (160, 150, 6, 20, True, 0.4, 0.9, 0.6, 1e-4, 0.05, 0.0005, 10, 2, 0.9)),
        (augment, (144, 630, 15, 36, True, 0.4, 0.8, 0.6, 2e-4, 0.05, 0.0001, 10, 2, 0.9)),
    ):
        names = "batch_size num_epochs num_layers num_filters aux_head aux_weight keep_prob drop_path_keep_prob l2"
        names += " lr_max lr_min lr_t_0 lr_t_mul momentum"
        assert tuple(getattr(section, name) for name in names.split()) == expected
    names = "hidden_size learning_rate adam_beta1 adam_epsilon tanh_constant op_tanh_reduce entropy_weight"
    names += " baseline_decay updates_per_epoch arcs_per_update"
    expected = (64, 0.0035, 0.0, 1e-3, 1.1, 2.5, 1e-4, 0.99, 30, 10)
    assert tuple(getattr(controller, name) for name in names.split()) == expected
    assert (search.valid_images, experiment.select.num_candidates) == (5_000, 100)
    augmentation = {"crop_padding": 4, "flip": True, "cutout": 0, "random_resized_crop": None}
    augmentation |= dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
    assert experiment.dataset.augmentation.model_dump() == augmentation


def test_the_projects_own_file():
    experiments = load_workflow(ROOT / "config.yaml").experiments
    assert {"digits", "cifar10", "cifar100", "cifar10_corrected", "cifar100_corrected"} <= set(experiments)
    assert experiments["cifar10"].preset == experiments["cifar100"].preset == "original"
    assert experiments["cifar10_corrected"].preset == experiments["cifar100_corrected"].preset == "corrected"
