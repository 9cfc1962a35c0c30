"""Settings: every kind of mistake is one clear line, and each stage sees only what it depends on."""

import copy
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core import config
from enas_core.console import UserError
from enas_core.fields import LATER, Settings
from enas_core.settings.presets import preset_values
from enas_core.settings.stages import (
    STAGES,
    PrepareDataStage,
    SearchStage,
    fingerprint,
    read_stage,
    stage_settings,
    to_json,
)
from enas_core.settings.workflow import load_workflow, parse_workflow, read_yaml

ROOT = Path(__file__).parents[2]
ARC = " ".join(["0 4 1 4"] * 10)


def digits(**changes):
    """A small valid experiment with `changes` by dotted key, `__` for the dot."""
    experiment = {
        "dataset": {"name": "digits", "source": "digits", "split_test_images": 60},
        "search": {"aux_head": False, "batch_size": 32, "valid_images": 60},
        "augment": {"aux_head": False},
    }
    for key, value in changes.items():
        *sections, name = key.split("__")
        target = experiment
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    return experiment


def own(**changes):
    """Images of one's own, with `changes` as in `digits`."""
    return digits(**{"dataset": {"name": "mine", "source": "folder"}, **changes})


def cifar(**changes):
    return {"dataset": {"name": "cifar10", "source": "torchvision"}, **changes}


def parse(**experiments):
    return parse_workflow({"experiments": experiments}).experiments


def message_of(raw):
    """The one line with which `raw` is refused."""
    with pytest.raises(ValueError, match=r"^config\.yaml: ") as caught:
        parse_workflow(raw)
    message = str(caught.value)
    assert type(caught.value) is UserError
    assert len(message.splitlines()) == 1
    return message.removeprefix("config.yaml: ")


MISTAKES = {
    "unknown key": (digits(searhc={}), "a.searhc: unknown key; allowed: preset, num_nodes, "),
    "unknown key in a section": (digits(search__batch=8), "a.search.batch: unknown key; allowed: num_epochs, "),
    "unknown key below": (digits(search__controller={"x": 1}), "a.search.controller.x: unknown key; allowed: hidden"),
    "text for a number": (digits(num_nodes="5"), "a.num_nodes: '5': allowed is a valid integer"),
    "truth for a number": (digits(num_nodes=True), "a.num_nodes: True: allowed is a valid integer"),
    "below its bound": (digits(num_nodes=0), "a.num_nodes: 0: allowed is greater than or equal to 1"),
    "above its bound": (digits(num_nodes=17), "a.num_nodes: 17: allowed is less than or equal to 16"),
    "odd filters": (digits(augment__num_filters=5), "a.augment.num_filters: 5: allowed is a multiple of 2"),
    "not finite": (digits(augment__l2=float("nan")), "a.augment.l2: nan: allowed is a finite number"),
    "not a choice": (digits(preset="new"), "a.preset: 'new': allowed is 'original' or 'corrected'"),
    "not a section": (digits(search=3), "a.search: 3: allowed is a valid dictionary"),
    "an empty list": (digits(search__seeds=[]), "a.search.seeds: []: Tuple should have at least 1 item"),
    "an item twice": (digits(search__seeds=[1, 2, 1]), "a.search.seeds: 1 is there twice"),
    "an item of a list": (digits(search__seeds=[1, -1]), "a.search.seeds.1: -1: allowed is greater than or equal to 0"),
    "a list of another length": (
        digits(search__controller={"op_bias_init": [1, 2]}),
        "a.search.controller.op_bias_init: [1, 2]: Tuple should have at least 5 items",
    ),
    "not settings": (5, "a: 5 is not a mapping of settings"),
    "no dataset": ({}, "a.dataset: missing"),
    "unknown dataset": (
        digits(dataset__name="imagenet"),
        "a.dataset.source: 'digits' does not provide 'imagenet'",
    ),
    "wrong source": (digits(dataset__source="parquet"), "a.dataset.source: 'parquet' does not provide 'digits'"),
    "no test part": (digits(dataset__split_test_images=None), "a.dataset.split_test_images: digits needs "),
    "two test parts": (
        cifar(dataset={"name": "cifar10", "source": "parquet", "split_test_images": 5}),
        "a.dataset.split_test_images: cifar10 has its own test images",
    ),
    "too many test images": (
        digits(dataset__split_test_images=1797),
        "a.dataset.split_test_images: 1797 is out of range 1..1796",
    ),
    "cutout": (digits(dataset__augmentation={"cutout": 9}), "a.dataset.augmentation.cutout: 9 is out of range 0..8"),
    "nothing to train on": (
        digits(search__valid_images=1737),
        "a.search.valid_images: 1737 is out of range 1..1736 (1737 training images)",
    ),
    "large search batch": (digits(search__batch_size=1678), "a.search.batch_size: 1678 is out of range 2..1677"),
    "large augment batch": (digits(augment__batch_size=1738), "a.augment.batch_size: 1738 is out of range 2..1737"),
    "a batch of one, search": (
        digits(search__aux_head=True, search__batch_size=4),
        "a.search.batch_size: 4 leaves one",
    ),
    "a batch of one, augment": (
        digits(augment__aux_head=True, augment__batch_size=8),
        "a.augment.batch_size: 8 leaves",
    ),
    "unknown stem": (digits(search__stem="wide"), "a.search.stem: 'wide': allowed is 'plain' or 'strided'"),
    "own images, noise": (
        own(dataset__noise={"deviation": 0.1}),
        "a.dataset.noise: is for cifar10, cifar100, digits of their own sources; allowed here: null",
    ),
    "own images, split": (own(dataset__split_test_images=3), "a.dataset.split_test_images: is for cifar10, "),
    "own images, size": (own(dataset__image_size=4), "a.dataset.image_size: 4: allowed is greater than or equal to 8"),
    "own images, large": (
        own(dataset__image_size=257),
        "a.dataset.image_size: 257: allowed is less than or equal to 256",
    ),
    "own images, resize": (own(dataset__resize_to=32), "a.dataset.resize_to: needs image_size"),
    "own images, smaller": (
        own(dataset__resize_to=32, dataset__image_size=40),
        "a.dataset.resize_to: 32 is below image_size = 40",
    ),
    "own images, columns": (own(dataset__label_column="x"), "a.dataset.label_column: 'folder' has no columns"),
    "own images, source": (
        own(dataset__source="torchvision"),
        "a.dataset.source: 'torchvision' does not provide 'mine'",
    ),
    "own images, name": (own(dataset__name="my/own"), "a.dataset.name: 'my/own': String should match pattern"),
    "size of known images": (
        cifar(dataset={"name": "cifar10", "source": "parquet", "image_size": 32}),
        "a.dataset.image_size: is for images of your own, cifar10 is as it is; allowed: null",
    ),
    "skipping of known images": (
        digits(dataset__skip_unreadable=True),
        "a.dataset.skip_unreadable: is for images of your own, digits is as it is; allowed: false",
    ),
    "two kinds of crop": (
        own(dataset__augmentation={"random_resized_crop": 0.1}),
        "a.dataset.augmentation.random_resized_crop: takes the place of the padded crop; allowed with it: crop",
    ),
    "hue of grey images": (digits(dataset__augmentation={"hue": 0.1}), "a.dataset.augmentation.hue: grey images have"),
    "learning rates": (digits(search__lr_max=1e-5), "a.search.lr_min: 0.0005 is above lr_max = 1e-05"),
    "sampler": (
        digits(num_nodes=4, baseline={"sampler": "reference"}),
        "a.baseline.sampler: 'reference' makes arcs of 5 nodes, num_nodes is 4",
    ),
    "length of an arc": (digits(num_nodes=4, arcs={"x": ARC}), "a.arcs.x: an arc of 4 nodes has 32 integers, got 40"),
    "position in an arc": (
        digits(arcs={"x": "0 4 2 4" + ARC[7:]}),
        "a.arcs.x: normal cell, node 0, index_2: 2 is out of range 0..1",
    ),
    "an arc in capitals": (digits(arcs={"X": "0"}), "a.arcs.X: an arc of 5 nodes has 40 integers, got 1"),
    "an arc of another type": (digits(arcs={"x": 3}), "a.arcs.x: 3: allowed is an arc in quotes or {from: EXPERIMENT}"),
    "an arc that is nothing": (digits(arcs={"x": None}), "a.arcs.x: None: allowed is an arc in quotes or {from: "),
    "arcs of another type": (digits(arcs=[ARC]), "a.arcs: "),
    "name of an arc": (digits(arcs={"x y": ARC}), "a.arcs.x y: 'x y': String should match pattern"),
    "name of a found network": (digits(arcs={"searched-s1": ARC}), "a.arcs.searched-s1: names like searched-s1"),
    "name of a random network": (digits(arcs={"random-07": ARC}), "a.arcs.random-07: names like searched-s1"),
    "misspelt transfer": (digits(arcs={"x": {"form": "b"}}), "a.arcs.x.form: unknown key; allowed: from"),
    "transfer of a number": (digits(arcs={"x": {"from": 3}}), "a.arcs.x.from: 3: allowed is a valid string"),
    "transfer from nowhere": (
        digits(arcs={"x": {"from": "c"}}),
        "a.arcs.x.from: 'c' is not another experiment; allowed: b",
    ),
    "transfer from itself": (digits(arcs={"x": {"from": "a"}}), "a.arcs.x.from: 'a' is not another experiment"),
    "transfer of other nodes": (
        digits(num_nodes=4, arcs={"x": {"from": "b"}}),
        "a.arcs.x.from: arcs of 'b' have another num_nodes than 'a'",
    ),
    "extends nowhere": (digits(extends="c"), "a.extends: 'c' is not another experiment; allowed: b"),
    "extends itself": (digits(extends="a"), "a.extends: 'a' is not another experiment; allowed: b"),
    "extends a number": (digits(extends=[3]), "a.extends: [3] is not another experiment; allowed: b"),
}


@pytest.mark.parametrize(("experiment", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_an_experiment_is_one_line(experiment, expected):
    message = message_of({"experiments": {"a": experiment, "b": digits()}})
    assert message.startswith(f"experiments.{expected}"), message


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, "experiments: missing or not a mapping"),
        ([], "experiments: missing or not a mapping"),
        ({"experiments": [1]}, "experiments: missing or not a mapping"),
        ({"experiments": {}}, "experiments: {}: Dictionary should have at least 1 item"),
        (
            {"experiments": {"a": digits()}, "x": 1},
            "x: unknown key; allowed: experiments, data_path, device, save_every",
        ),
        ({"experiments": {"a": digits()}, "device": "tpu"}, "device: 'tpu': allowed is 'auto', 'cpu' or 'cuda'"),
        ({"experiments": {"a": digits()}, "save_every": 0}, "save_every: 0: allowed is greater than 0"),
        ({"experiments": {"a": digits()}, 1: 2}, "1: "),
        ({"experiments": {"a": digits()}, "data_path": ""}, "data_path: empty, or with line breaks"),
        ({"experiments": {"a": digits()}, "data_path": "a\nb"}, "data_path: empty, or with line breaks"),
        (
            {"experiments": {"a": digits(search={"num_layers": 10**6})}},
            "experiments.a.search.num_layers: 1000000: allowed is less than or equal to 1000",
        ),
        ({"experiments": {"a": digits(arcs={"best-random": ARC})}}, "experiments.a.arcs.best-random: names like"),
        ({"experiments": {"a b": digits()}}, "experiments.a b: 'a b': String should match pattern"),
        ({"experiments": {1: digits()}}, "experiments: 1: a name is a text that begins with a letter"),
        ({"experiments": {"a\nb": digits()}}, "experiments.a b: "),
        ({"experiments": {"a\nb": 3}}, "experiments.a b: 3 is not a mapping of settings"),
        (
            {"experiments": {"a": digits(extends="a")}},
            "experiments.a.extends: 'a' is not another experiment; allowed: none",
        ),
        ({"experiments": {"a": {"x": 1}, "b": {"y": 1}}}, "experiments.a.x: unknown key; "),
    ],
)
def test_a_mistake_in_the_file_is_one_line(raw, expected):
    message = message_of(raw)
    assert message.startswith(expected), message


def test_more_mistakes_are_counted():
    message = message_of({"experiments": {"a": digits(num_nodes=0, cpu_threads=0)}})
    assert message.endswith(" (and 1 more)")


def test_a_long_value_is_cut():
    message = message_of({"experiments": {"a": digits(preset="x" * 10_000)}})
    assert len(message) < 200


# --- extends, presets, transfers ----------------------------------------------------------------


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


# --- one stage's settings -----------------------------------------------------------------------

CHANGES = {
    "num_nodes": (dict(num_nodes=3), {"random_arcs", "search", "select_arc", "strategies", "augment"}),
    "cpu_threads": (dict(cpu_threads=7), {"search", "select_arc", "strategies", "augment"}),
    "precision": (dict(precision="bf16"), {"search", "select_arc", "strategies", "augment"}),
    "compile": (dict(compile="off"), {"search", "select_arc", "strategies", "augment"}),
    "dataset": (dict(dataset__split_seed=3), {"prepare_data"}),
    "augmentation": (dict(dataset__augmentation={"flip": False}), {"search", "select_arc", "strategies", "augment"}),
    "search": (dict(search__l2=0.5), {"search", "select_arc", "strategies"}),
    "controller": (dict(search__controller={"hidden_size": 5}), {"search", "select_arc", "strategies"}),
    "select": (dict(select={"num_candidates": 3}), {"select_arc", "strategies"}),
    "strategy": (dict(select={"strategy": "random"}), {"select_arc"}),
    "evolution of others": (dict(select={"evolution": {"population": 3}}), {"strategies"}),
    "further strategies": (dict(select={"compare": ["random", "evolution"]}), set()),
    "limits": (dict(select={"limits": {"max_macs": 10**6}}), {"random_arcs", "select_arc", "strategies"}),
    "augment": (dict(augment__l2=0.5), {"augment"}),
    "sampler": (dict(baseline={"sampler": "reference"}), {"random_arcs"}),
    "number of random arcs": (dict(baseline={"num_arcs": 3}), set()),
    "search seeds": (dict(search__seeds=[1, 2]), set()),
    "augment seeds": (dict(augment__seeds=[1, 2]), set()),
    "named arcs": (dict(arcs={"x": ARC}), set()),
}


@pytest.mark.parametrize(("changes", "stages"), CHANGES.values(), ids=CHANGES)
def test_a_stage_sees_what_it_depends_on(changes, stages):
    before, after = (parse(a=digits(**change))["a"] for change in ({}, changes))
    assert before != after
    texts = {
        stage: [to_json(stage_settings("a", experiment, stage)) for experiment in (before, after)] for stage in STAGES
    }
    assert {stage for stage, (one, other) in texts.items() if one != other} == stages


@pytest.mark.parametrize("stage", STAGES)
def test_settings_of_a_stage_survive_their_file(stage, tmp_path):
    settings = stage_settings("a", parse(a=cifar(preset="corrected"))["a"], stage)
    path = tmp_path / f"{stage}.json"
    path.write_text(to_json(settings))
    assert read_stage(path, STAGES[stage]) == settings
    assert path.read_text() == to_json(read_stage(path, STAGES[stage]))


def test_equal_settings_give_equal_text():
    one = digits(search__l2="1e-4", num_nodes=5)
    other = dict(reversed(digits(search__l2=0.0001).items()))
    texts = [to_json(stage_settings("a", parse(a=raw)["a"], "search")) for raw in (one, other)]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])
    assert fingerprint(stage_settings("a", parse(a=one)["a"], "search")) != fingerprint(
        stage_settings("a", parse(a=digits(search__l2=0.5))["a"], "search")
    )


LEVELS = [b"a%d: &a%d [%s]" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 40)]
BOMB = b"\n".join([b"a0: &a0 [1]", *LEVELS, b"%s: {a: {dataset: *a39, search: {seeds: *a39}}}"])
"""A few lines that stand for 9 ** 40 values."""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "Invalid JSON"),
        (b"\xff\xfe", "not a text file"),
        (b"[]", "allowed is"),
        (b"{}", "experiment: missing"),
        (b'{"experiment": "a", "dataset": {"name": "digits", "source": "digits", "x": 1}}', "dataset.x: unknown key"),
    ],
)
def test_a_wrong_settings_file_is_one_line(content, expected, tmp_path):
    path = tmp_path / "prepare_data.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=expected) as caught:
        read_stage(path, PrepareDataStage)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert ": : " not in str(caught.value)


def test_a_missing_settings_file_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"search\.json: No such file or directory$"):
        read_stage(tmp_path / "search.json", SearchStage)


# --- the command --------------------------------------------------------------------------------


def test_prints_every_setting_with_a_meaning(capsys):
    assert config.main(["--configfile", str(ROOT / "config.yaml"), "--experiment", "cifar100", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# cifar100"
    printed = dict(line.split(" = ", 1) for line in lines[1:] if line)
    experiment = load_workflow(ROOT / "config.yaml").experiments["cifar100"]
    flat = {}

    def flatten(values, prefix):
        for key, value in values.items():
            if isinstance(value, dict) and key != "arcs":
                flatten(value, f"{prefix}{key}.")
            else:
                flat[prefix + key] = value

    flatten(json.loads(experiment.model_dump_json(by_alias=True)), "")
    assert set(printed) == set(flat)
    for key, text in printed.items():
        value, _, meaning = text.partition("  # ")
        assert len(meaning.split()) > 1, key
        if key != "arcs":
            assert json.loads(value) == flat[key]
    assert json.loads(printed["arcs"].partition("  # ")[0]) == {
        **{name: arc for name, arc in flat["arcs"].items() if isinstance(arc, str)},
        "transfer": "cifar10",
    }


def shown(capsys, experiment, *options, **experiments):
    """What the command prints of one of some experiments."""
    path = Path("config.yaml")
    path.write_text(yaml.safe_dump({"experiments": experiments}))
    assert config.main([experiment, "--configfile", str(path), *options]) == 0
    return capsys.readouterr().out


def test_prints_what_differs_from_the_defaults(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = digits(search__l2=0.5, search__clip_norm=None, search__num_epochs=150, preset="corrected")
    lines = shown(capsys, "a", a=a).splitlines()
    assert lines[0] == "# a"
    assert {
        'dataset.name = "digits"',
        'preset = "corrected"  # default "original"',
        "search.l2 = 0.5  # default 0.0001",
        "augment.clip_norm = 5.0  # by the preset, default null",
        "search.clip_norm = null  # the preset's is 5.0, default null",
    } <= set(lines)
    assert not [line for line in lines if line.startswith("search.num_epochs")]


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_its_json_is_the_same_experiment(options, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = digits(search__clip_norm=None, preset="corrected")
    b = {"extends": "a", "preset": "original", "arcs": {"found": {"from": "a"}}}
    for name in ("a", "b"):
        (found,) = json.loads(shown(capsys, name, "--json", *options, a=a, b=b))["experiments"].values()
        assert parse(**{"a": a, "b": b, name: found})[name] == parse(a=a, b=b)[name]


def test_all_mistakes_of_a_file_are_a_line_each(capsys, tmp_path):
    path = tmp_path / "config.yaml"
    a = digits(arcs={"x": "0 1 2", "y": "1 2"}, num_nodes=3, baseline__sampler="reference", search__valid_images=9000)
    b, c = digits(num_nodes=0, cpu_threads=0), digits(search__l3=1)
    path.write_text(yaml.safe_dump({"experiments": {"a": a, "b": b, "c": c}}))
    assert config.main(["--configfile", str(path)]) == 2
    captured = capsys.readouterr()
    keys = "c.search.l3", "a.search.valid_images", "a.baseline.sampler", "a.arcs.x", "a.arcs.y", "b.num_nodes"
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert [line.split(": ")[2] for line in lines] == [f"experiments.{key}" for key in (*keys, "b.cpu_threads")]


def test_mistakes_between_experiments_are_a_line_each(capsys, tmp_path):
    path = tmp_path / "config.yaml"
    a, b = digits(arcs={"x": {"from": "c"}}), digits(baseline={"from": "c"}, ablation={"settings": ["none"]})
    path.write_text(yaml.safe_dump({"experiments": {"a": a, "b": b}}))
    assert config.main(["--configfile", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_entries_that_extend_nothing_are_a_line_each(capsys, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("experiments: {a: {extends: x}, b: 3, c: {extends: a}}")
    assert config.main(["--configfile", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["experiments.a.extends", "experiments.b"]


def test_prints_all_experiments(capsys):
    assert config.main(["--configfile", str(ROOT / "config.yaml")]) == 0
    names = [line[2:] for line in capsys.readouterr().out.splitlines() if line.startswith("# ")]
    assert names == list(load_workflow(ROOT / "config.yaml").experiments)


def test_ends_quietly_when_its_reader_has_seen_enough():
    command = [sys.executable, "-m", "enas_core.config", "--configfile", str(ROOT / "config.yaml")]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"experiments: {a: {num_nodes: 0, dataset: {name: x, source: folder}}}", "experiments.a.num_nodes: 0"),
        (b"a: [", "not valid YAML: "),
        (b"a: 2020-13-45", "not valid YAML: "),
        (b"\xff\xfe\x00", "not a text file"),
        (b"", "experiments: missing"),
        (b"[" * 5000, "sections are nested too deeply"),
        (b"experiments: {a: {search: {l2: 1}, search: {}}}", "not valid YAML: 'search' is there twice in "),
        (
            b"experiments: {a: {search: &s {s: *s}}, b: {extends: a, search: &t {s: *t}}}",
            "not valid YAML: what begins in line 1 contains itself",
        ),
        (BOMB % b"x", "stands for more than 1000000 values"),
        (BOMB % b"experiments", "stands for more than 1000000 values"),
        (b"x: " + b"9" * 2**20, "has 1048579 bytes; at most 1048576 are read"),
        (b"experiments: {null: {}}", "experiments: None: a name is a text that begins with a letter"),
        (b"experiments: {yes: {}}", "experiments: True: a name is a text that begins with a letter"),
        (b"experiments: {report: {}}", "experiments.report: the name is taken by the workflow"),
    ],
)
def test_a_wrong_file_is_one_line(content, expected, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert config.main(["--configfile", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {path}: {expected}"), captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_key_may_override_a_merged_one(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, y: 2}\n")
    assert read_yaml(tmp_path / "a.yaml")["c"] == {"x": 2, "y": 2}


def test_a_missing_file_and_an_unknown_experiment(tmp_path, capsys):
    assert config.main(["--configfile", str(tmp_path / "x.yaml")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/x.yaml: No such file or directory\n"
    assert config.main(["--configfile", str(ROOT / "tests/configs/tiny.yaml"), "--experiment", "x"]) == 2
    assert capsys.readouterr().err.endswith("experiments: 'x' is not there; allowed: tiny, tiny_transfer\n")


# --- arbitrary content --------------------------------------------------------------------------

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3) | st.dates()
)
KEYS = st.sampled_from(["dataset", "search", "augment", "arcs", "extends", "preset", "baseline", "select"]) | SCALARS
GARBAGE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


def refusal(raw):
    """What is wrong with `raw`, if anything."""
    try:
        parse_workflow(raw)
    except ValueError as error:
        return error
    return None


def assert_taken_or_refused_in_one_line(raw):
    error = refusal(raw)
    assert error is None or type(error) is UserError
    assert error is None or len(str(error).splitlines()) == 1
    assert error is None or str(error).startswith("config.yaml: ")


@given(GARBAGE)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_arbitrary_content_is_refused_in_one_line(raw):
    assert refusal(raw) is not None
    assert_taken_or_refused_in_one_line(raw)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]) | SCALARS, GARBAGE, max_size=3))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_arbitrary_experiments_are_refused_in_one_line(experiments):
    assert_taken_or_refused_in_one_line({"experiments": experiments})


PLACES = [
    ("num_nodes",),
    ("dataset",),
    ("dataset", "max_train_images"),
    ("dataset", "augmentation"),
    ("search", "seeds"),
    ("search", "l2"),
    ("search", "controller"),
    ("search", "controller", "op_bias_init"),
    ("augment", "clip_norm"),
    ("select",),
    ("arcs",),
    ("arcs", "x"),
    ("extends",),
    ("preset",),
]


@given(st.sampled_from(PLACES), GARBAGE)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_an_arbitrary_value_is_taken_or_refused_in_one_line(place, value):
    assert_taken_or_refused_in_one_line({"experiments": {"a": digits(**{"__".join(place): value}), "b": digits()}})


# --- settings that came later -------------------------------------------------------------------


def later_fields(model, prefix=""):
    """Dotted keys of the settings of a stage that are marked as having come later."""
    for name, field in model.model_fields.items():
        if LATER in field.metadata:
            yield f"{prefix}{name}"
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from later_fields(field.annotation, f"{prefix}{name}.")


def keys_of(values, prefix=""):
    """Dotted keys of a dictionary of dictionaries."""
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{name}.")


@pytest.mark.parametrize("stage", ["prepare_data", "search", "select_arc", "augment"])
def test_what_came_later_does_not_change_the_text_at_its_default(stage):
    later = set(later_fields(STAGES[stage]))
    assert later
    text = to_json(stage_settings("a", parse(a=digits())["a"], stage))
    assert not later & set(keys_of(json.loads(text)))
    assert STAGES[stage].model_validate_json(text) == stage_settings("a", parse(a=digits())["a"], stage)


def test_what_came_later_is_in_the_text_where_it_is_set():
    changed = digits(search__stem="strided", dataset__augmentation={"brightness": 0.5})
    found = [json.loads(to_json(stage_settings("a", parse(a=x)["a"], "search"))) for x in (digits(), changed)]
    assert found[1]["search"].pop("stem") == "strided"
    assert found[1]["augmentation"].pop("brightness") == 0.5
    assert found[0] == found[1]


def test_what_is_inherited_is_told_once():
    raw = {
        "experiments": {
            "a": {"dataset": {"name": "cifar10", "source": "torchvision"}, "search": {"epochs": 1}},
            "b": {"extends": "a", "search": {"num_layers": 0}},
            "c": {"extends": "b"},
        }
    }
    with pytest.raises(UserError) as caught:
        parse_workflow(raw)
    assert [line.split(": ")[1] for line in caught.value.lines] == [
        "experiments.a.search.epochs",
        "experiments.b.search.num_layers",
    ]
