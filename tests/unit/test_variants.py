"""Variants of an experiment for an ablation: one setting apart from a preset, and none that would change nothing."""

import itertools
import re

import pytest
import torch

from enas_core import prepare_data
from enas_core.console import UserError
from enas_core.data.prepared import load_prepared
from enas_core.settings.describe import describe
from enas_core.settings.presets import preset_values
from enas_core.settings.stages import STAGES, stage_settings, to_json
from enas_core.settings.variants import (
    EXPERIMENT_PATTERN,
    Variant,
    differing_settings,
    home_of,
    left_out,
    variants_of,
)
from enas_core.settings.workflow import parse_workflow
from enas_core.training.device import pick_device
from enas_core.training.supernet import SupernetTraining


def parse(name="a", **changes):
    """A small experiment with an ablation, and `changes` of its sections."""
    entry = {
        "num_nodes": 2,
        "cpu_threads": 1,
        "dataset": {"name": "digits", "source": "digits", "split_test_images": 60, "max_train_images": 160},
        "search": {"num_epochs": 3, "lr_t_0": 1, "batch_size": 32, "num_layers": 2, "num_filters": 4}
        | {"aux_head": False, "valid_images": 60, "controller": {"updates_per_epoch": 2, "arcs_per_update": 2}},
        "augment": {"batch_size": 32, "aux_head": False},
        "ablation": {"seeds": [4, 5]},
    }
    for section, values in changes.items():
        entry[section] = entry.get(section, {}) | values if isinstance(values, dict) else values
    return parse_workflow({"experiments": {name: entry}})


def search_of(workflow, variant):
    """Search settings of a variant of `a`, by dotted key."""
    experiment = workflow.settings_of(f"a/variants/{variant}")
    return {row.key: row.value for row in describe(experiment.search)}


# --- which variants there are --------------------------------------------------------------------


def test_settings_are_those_of_the_presets():
    def keys(values, prefix=""):
        for key, value in values.items():
            yield from keys(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]

    assert set(differing_settings("micro")) == set(keys(preset_values("corrected", "micro")["search"]))


def test_each_setting_alone_and_each_taken_away():
    workflow = parse()
    experiment = workflow.experiments["a"]
    variants = variants_of(experiment)
    keys = [key for key in differing_settings("micro") if key != "train_aux_head"]
    assert [variant.name for variant in variants] == [
        "original",
        *(f"original+{key}" for key in keys),
        "corrected",
        *(f"corrected-{key}" for key in keys),
    ]
    assert left_out(experiment) == {"train_aux_head": "there is no auxiliary head"}
    for variant in variants:
        if variant.key is not None:
            pair = search_of(workflow, variant.preset), search_of(workflow, variant.name)
            assert {key for key in pair[0] if pair[0][key] != pair[1][key]} == {variant.key}


@pytest.mark.parametrize("preset", ["original", "corrected"])
def test_a_preset_is_what_the_experiment_is_under_it(preset):
    """Whichever preset the experiment itself has."""
    expected = parse(preset=preset).experiments["a"].search
    for own in ("original", "corrected"):
        search = parse(preset=own).settings_of(f"a/variants/{preset}").search
        assert search.model_copy(update={"seeds": expected.seeds}) == expected


def test_all_but_the_search_is_the_experiments_own():
    workflow = parse(preset="corrected", arcs={"x": "0 4 1 4 " * 4}, baseline={"num_arcs": 5})
    own = workflow.experiments["a"]
    for variant in variants_of(own):
        found = workflow.settings_of(variant.of("a"))
        assert (found.dataset, found.augment, found.select) == (own.dataset, own.augment, own.select)
        assert found.search.seeds == (4, 5)
        assert (found.baseline.source, found.baseline.num_arcs, found.arcs) == ("a", 5, {})
        assert found.ablation.seeds is None


def test_random_networks_may_be_those_of_a_third():
    raw = {"dataset": {"name": "digits", "source": "digits", "split_test_images": 60}}
    raw |= {"search": {"aux_head": False, "valid_images": 60}, "augment": {"aux_head": False}}
    taking = {"extends": "a", "baseline": {"from": "a"}, "ablation": {"seeds": [1]}}
    workflow = parse_workflow({"experiments": {"a": raw, "b": taking}})
    assert workflow.settings_of("b/variants/corrected").baseline.source == "a"


def test_some_settings_alone():
    experiment = parse(ablation={"settings": ["controller.op_bias_init", "clip_norm", "train_aux_head"]}).experiments[
        "a"
    ]
    assert [variant.name for variant in variants_of(experiment)] == [
        "original",
        "original+clip_norm",
        "original+controller.op_bias_init",
        "corrected",
        "corrected-clip_norm",
        "corrected-controller.op_bias_init",
    ]
    assert list(left_out(experiment)) == ["train_aux_head"]
    none = parse(ablation={"settings": []}).experiments["a"]
    assert [variant.name for variant in variants_of(none)] == ["original", "corrected"]


def test_a_setting_that_is_none_of_them():
    with pytest.raises(UserError, match=r"^config\.yaml: experiments\.a\.ablation\.settings: 'lr_max' is not a search"):
        parse(ablation={"settings": ["lr_max"]})


def test_without_seeds_there_are_none():
    experiment = parse(ablation={"seeds": None}).experiments["a"]
    assert (variants_of(experiment), left_out(experiment)) == ([], {})


# --- names ---------------------------------------------------------------------------------------


def test_names_of_variants_are_names_of_experiments():
    for variant in variants_of(parse().experiments["a"]):
        name = variant.of("a")
        assert re.fullmatch(EXPERIMENT_PATTERN, name)
        assert home_of(name) == "a"
    assert home_of("a") == "a"
    for name in ("a/b", "a/variants", "a/variants/", "a/variants/original/x", "a/variants/original+", "/variants/b"):
        assert not re.fullmatch(EXPERIMENT_PATTERN, name)


def test_stages_take_a_variants_name():
    workflow = parse()
    name = Variant(preset="corrected", key="clip_norm").of("a")
    for stage in STAGES:
        assert f'"experiment": "{name}"' in to_json(stage_settings(name, workflow.settings_of(name), stage))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("b", "experiments: 'b' is not there; allowed: a"),
        ("b/variants/original", "experiments: 'b' is not there; allowed: a"),
        (
            "a/variants/original+l2",
            "experiments.a.ablation: 'original+l2' is none of its variants; allowed: original, ",
        ),
    ],
)
def test_names_of_nothing(name, message):
    with pytest.raises(UserError) as caught:
        parse().settings_of(name)
    assert str(caught.value).startswith(message)


# --- what changes nothing ------------------------------------------------------------------------

INERT = [
    ("train_aux_head", {"aux_head": False}, "there is no auxiliary head"),
    ("restart_first_step_mean", {"lr_t_0": 3}, "the learning rate does not restart"),
    ("apply_drop_path", {"drop_path_keep_prob": 1}, "drop_path_keep_prob is 1"),
    ("reward_dropout", {"keep_prob": 1}, "keep_prob is 1"),
    ("reward_dropout", {"policy": "uniform"}, "the policy uniform does not learn"),
    ("controller.advantage_baseline", {"policy": "uniform"}, "the policy uniform does not learn"),
    ("controller.op_bias_init", {"policy": "uniform"}, "the policy uniform does not learn"),
    ("controller.adam_epsilon_placement", {"policy": "uniform"}, "the policy uniform does not learn"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    settings = stage_settings("a", parse().experiments["a"], "prepare_data")
    (folder / "prepare_data.json").write_text(to_json(settings))
    assert prepare_data.main(["--config", str(folder / "prepare_data.json"), "--out-dir", str(folder)]) == 0
    return load_prepared(folder, pick_device("cpu", cpu_threads=1))


class NoWatch:
    """Nobody looks at the training."""

    def step(self):
        pass

    def save(self):
        pass


def searched(workflow, key, value, data):
    """Everything that a search of `a` with this value leaves to the choice of an arc."""
    raw = workflow.experiments["a"].model_dump(by_alias=True)
    *sections, name = key.split(".")
    section = raw["search"]
    for inner in sections:
        section = section[inner]
    section[name] = value
    experiment = type(workflow.experiments["a"]).model_validate(raw)
    training = SupernetTraining(stage_settings("a", experiment, "search"), data, 1, torch.device("cpu"))
    training.train(NoWatch())
    state = training.state_dict()
    return {"supernet": training.supernet.state_dict(), "policy": state["policy"]}


def same(one, other):
    """Whether two nested states hold the same numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(itertools.starmap(same, zip(one, other, strict=True)))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize(("key", "changes", "reason"), INERT)
def test_what_is_left_out_changes_nothing(key, changes, reason, data):
    workflow = parse(search=changes)
    assert left_out(workflow.experiments["a"])[key] == reason
    original, corrected = differing_settings("micro")[key].values()
    assert same(searched(workflow, key, original, data), searched(workflow, key, corrected, data))


@pytest.mark.parametrize("key", [key for key in differing_settings("micro") if key != "train_aux_head"])
def test_what_is_not_left_out_changes_something(key, data):
    """(Images of digits are too small for an auxiliary head.)"""
    workflow = parse()
    assert key not in left_out(workflow.experiments["a"])
    original, corrected = differing_settings("micro")[key].values()
    assert not same(searched(workflow, key, original, data), searched(workflow, key, corrected, data))


def test_what_the_experiment_sets_itself_is_left_out():
    workflow = parse(search={"clip_norm": 1.0, "keep_prob": 1})
    experiment = workflow.experiments["a"]
    reasons = left_out(experiment)
    assert reasons["clip_norm"] == "the experiment itself sets it to 1.0"
    for variant in variants_of(experiment):
        assert variant.key != "clip_norm"
        assert search_of(workflow, variant.name)["clip_norm"] == "1.0"
