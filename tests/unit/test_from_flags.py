"""The original's command lines, as published, become the defaults; each of their flags does something or is named."""

import shlex
import subprocess
import sys

import pytest
import yaml

from enas_core.from_flags import FLAGS, main
from enas_core.settings.experiment import experiment_model
from enas_core.settings.workflow import parse_workflow

ARC = "0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 4"

SEARCH = shlex.split(
    '--data_format="NCHW" --search_for="micro" '
    "--reset_output_dir --data_path=datapath --dataset dataset --output_dir test"
    " --batch_size=160 --num_epochs=150 --log_every=50 --eval_every_epochs=1 --child_use_aux_heads"
    " --child_num_layers=6 --child_out_filters=20 --child_l2_reg=1e-4 --child_num_branches=5 --child_num_cells=5"
    " --child_keep_prob=0.90 --child_drop_path_keep_prob=0.60 --child_lr_cosine --child_lr_max=0.05"
    " --child_lr_min=0.0005 --child_lr_T_0=10 --child_lr_T_mul=2 --controller_training"
    " --controller_search_whole_channels --controller_entropy_weight=0.0001 --controller_train_every=1"
    " --controller_sync_replicas --controller_num_aggregate=10 --controller_train_steps=30 --controller_lr=0.0035"
    " --controller_tanh_constant=1.10 --controller_op_tanh_reduce=2.5"
)
AUGMENT = shlex.split(
    '--data_format="NCHW" --search_for="micro" '
    "--reset_output_dir --data_path=datapath --output_dir test --batch_size=144"
    " --num_epochs=630 --log_every=50 --eval_every_epochs=1 --child_fixed_arc=arch --child_use_aux_heads"
    " --child_num_layers=15 --child_out_filters=36 --child_num_branches=5 --child_num_cells=5 --child_keep_prob=0.80"
    " --child_drop_path_keep_prob=0.60 --child_l2_reg=2e-4 --child_lr_cosine --child_lr_max=0.05"
    " --child_lr_min=0.0001 --child_lr_T_0=10 --child_lr_T_mul=2 --nocontroller_training"
    " --controller_search_whole_channels --controller_entropy_weight=0.0001 --controller_train_every=1"
    " --controller_sync_replicas --controller_num_aggregate=10 --controller_train_steps=50 --controller_lr=0.001"
    " --controller_tanh_constant=1.50 --controller_op_tanh_reduce=2.5 --dataset dataset"
)
"""The published commands, placeholders included."""

MEANT = {"dataset": "CIFAR10", "--data_path=datapath": "--data_path=images", "--child_fixed_arc=arch": None}
SEARCH_CIFAR10 = [MEANT.get(word, word) for word in SEARCH]
AUGMENT_CIFAR10 = [MEANT.get(word, word) or f"--child_fixed_arc={ARC}" for word in AUGMENT]

DEFAULTS = experiment_model("micro")(dataset={"name": "cifar10", "source": "torchvision"})

PUBLISHED_FLAGS = sorted({word.partition("=")[0] for word in SEARCH + AUGMENT if word.startswith("--")})

IN_THE_SEARCH = {
    "--dataset": ("CIFAR100", "dataset.name", "cifar100"),
    "--batch_size": ("96", "search.batch_size", 96),
    "--num_epochs": ("7", "search.num_epochs", 7),
    "--child_num_layers": ("9", "search.num_layers", 9),
    "--child_num_cells": ("4", "num_nodes", 4),
    "--child_out_filters": ("24", "search.num_filters", 24),
    "--child_keep_prob": ("0.75", "search.keep_prob", 0.75),
    "--child_drop_path_keep_prob": ("0.5", "search.drop_path_keep_prob", 0.5),
    "--child_l2_reg": ("3e-4", "search.l2", 3e-4),
    "--child_lr_max": ("0.1", "search.lr_max", 0.1),
    "--child_lr_min": ("0.001", "search.lr_min", 0.001),
    "--child_lr_T_0": ("5", "search.lr_t_0", 5),
    "--child_lr_T_mul": ("3", "search.lr_t_mul", 3),
    "--child_use_aux_heads": ("false", "search.aux_head", False),
    "--controller_training": ("false", "search.controller.updates_per_epoch", 0),
    "--nocontroller_training": (None, "search.controller.updates_per_epoch", 0),
    "--controller_train_steps": ("20", "search.controller.updates_per_epoch", 20),
    "--controller_num_aggregate": ("8", "search.controller.arcs_per_update", 8),
    "--controller_sync_replicas": ("false", "search.controller.arcs_per_update", 1),
    "--controller_lr": ("0.01", "search.controller.learning_rate", 0.01),
    "--controller_entropy_weight": ("0.1", "search.controller.entropy_weight", 0.1),
    "--controller_tanh_constant": ("2", "search.controller.tanh_constant", 2.0),
    "--controller_op_tanh_reduce": ("3", "search.controller.op_tanh_reduce", 3.0),
}
"""Flag: another value, the setting that it changes, and to what."""

NO_MEANING = {
    "--data_format": "order of a tensor's dimensions",
    "--search_for": "micro search space is the only one",
    "--reset_output_dir": "Snakemake decides",
    "--data_path": "snakemake --config data_path=images",
    "--output_dir": "results/NAME",
    "--log_every": "epochs.parquet",
    "--eval_every_epochs": "every epoch is evaluated",
    "--child_num_branches": "5 operations",
    "--child_lr_cosine": "cosine schedule",
    "--controller_search_whole_channels": "macro search",
    "--controller_train_every": "after every epoch",
}
"""Flag: a part of the reason that is given."""

IN_THE_AUGMENT = {
    "--batch_size": ("96", "augment.batch_size", 96),
    "--num_epochs": ("7", "augment.num_epochs", 7),
    "--child_num_layers": ("9", "augment.num_layers", 9),
    "--child_out_filters": ("24", "augment.num_filters", 24),
    "--child_keep_prob": ("0.75", "augment.keep_prob", 0.75),
    "--child_drop_path_keep_prob": ("0.5", "augment.drop_path_keep_prob", 0.5),
    "--child_l2_reg": ("3e-4", "augment.l2", 3e-4),
    "--child_lr_max": ("0.1", "augment.lr_max", 0.1),
    "--child_lr_min": ("0.001", "augment.lr_min", 0.001),
    "--child_lr_T_0": ("5", "augment.lr_t_0", 5),
    "--child_lr_T_mul": ("3", "augment.lr_t_mul", 3),
    "--child_use_aux_heads": ("false", "augment.aux_head", False),
    "--child_fixed_arc": (ARC.replace("4", "3"), "arcs.fixed_arc", ARC.replace("4", "3")),
}


@pytest.fixture
def translate(capsys):
    """Run the tool; gives the YAML's content, the experiment, and the lines on stderr."""

    def run(*commands, name="mine"):
        words = ["--name", name] + [word for command in commands for word in ["--", *command]]
        code = main(words)
        out, err = capsys.readouterr()
        assert code == 0, err
        raw = yaml.safe_load(out)
        return raw, parse_workflow(raw).experiments[name], err.splitlines()

    return run


@pytest.fixture
def refused(capsys):
    """Run the tool on a command with a mistake; gives the one line on stderr."""

    def run(*words):
        assert main(["--", *words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        return err

    return run


def setting(experiment, key):
    value = experiment.model_dump()
    for part in key.split("."):
        value = value[part]
    return value


def all_settings(experiment):
    """Dotted keys and values."""

    def flat(value, key):
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from flat(inner, f"{key}{name}.")
        else:
            yield key.rstrip("."), value

    return dict(flat(experiment.model_dump(), ""))


def test_there_are_35_published_flags_and_each_is_tested():
    assert len(PUBLISHED_FLAGS) == 35
    assert {*IN_THE_SEARCH, *IN_THE_AUGMENT, *NO_MEANING} == set(PUBLISHED_FLAGS)


def test_the_published_commands_are_the_defaults(translate):
    raw, experiment, _ = translate(SEARCH_CIFAR10, AUGMENT_CIFAR10)
    assert list(raw) == ["experiments"]
    assert experiment.search == DEFAULTS.search
    assert experiment.augment == DEFAULTS.augment
    assert experiment == DEFAULTS.model_copy(update={"arcs": {"fixed_arc": ARC}})


@pytest.mark.parametrize(
    ("command", "sections"),
    [(SEARCH_CIFAR10, ["search"]), (AUGMENT_CIFAR10, ["augment", "arcs"])],
    ids=["search", "augment"],
)
def test_a_command_gives_its_own_sections(translate, command, sections):
    raw, experiment, _ = translate(command)
    assert list(raw["experiments"]["mine"]) == ["preset", "num_nodes", "dataset", *sections]
    assert (experiment.search, experiment.augment) == (DEFAULTS.search, DEFAULTS.augment)


@pytest.mark.parametrize("flag", IN_THE_SEARCH)
def test_a_flag_changes_one_setting_of_the_search(translate, flag):
    text, key, expected = IN_THE_SEARCH[flag]
    words = [flag] if text is None else [f"{flag}={text}"]
    _, experiment, lines = translate([*SEARCH_CIFAR10, *words])
    assert setting(experiment, key) == expected
    before = all_settings(translate(SEARCH_CIFAR10)[1])
    changed = {name for name, value in all_settings(experiment).items() if value != before[name]}
    # without synchronised replicas every one of the 30 * 10 arcs is an update
    assert changed == {key} | ({"search.controller.updates_per_epoch"} if "sync_replicas" in flag else set())
    assert not any(line.startswith(f"{flag}:") for line in lines)


@pytest.mark.parametrize("flag", IN_THE_AUGMENT)
def test_a_flag_changes_one_setting_of_the_augment(translate, flag):
    text, key, expected = IN_THE_AUGMENT[flag]
    _, experiment, lines = translate(
        [*AUGMENT_CIFAR10, flag, text] if text != "false" else [*AUGMENT_CIFAR10, f"{flag}={text}"]
    )
    assert setting(experiment, key) == expected
    before = all_settings(translate(AUGMENT_CIFAR10)[1])
    assert {name for name, value in all_settings(experiment).items() if value != before[name]} == {key}
    assert not any(line.startswith(f"{flag}:") for line in lines)


def test_flags_of_both_commands_change_what_they_share(translate):
    smaller = "0 1 0 1 0 1 0 1 1 0 1 0 1 0 1 4"
    common = ["--dataset=CIFAR100", "--child_num_cells=2"]
    _, experiment, _ = translate([*SEARCH_CIFAR10, *common], [*AUGMENT_CIFAR10, *common, "--child_fixed_arc", smaller])
    assert (experiment.dataset.name, experiment.num_nodes) == ("cifar100", 2)


@pytest.mark.parametrize("command", [SEARCH_CIFAR10, AUGMENT_CIFAR10], ids=["search", "augment"])
def test_flags_without_meaning_are_named_with_the_reason(translate, command):
    _, _, lines = translate(command)
    given = {word.partition("=")[0] for word in command if word.startswith("--")}
    expected = {flag: part for flag, part in NO_MEANING.items() if flag in given}
    if command is AUGMENT_CIFAR10:
        controller = [flag for flag in given if flag.startswith("--controller_")]
        expected |= dict.fromkeys(controller, "with --child_fixed_arc there is no controller")
    assert {line.partition(":")[0] for line in lines} == set(expected)
    for line in lines:
        flag, _, reason = line.partition(": no meaning here: ")
        assert expected[flag] in reason


def test_without_synchronised_replicas_each_arc_is_an_update(translate):
    _, experiment, _ = translate([*SEARCH_CIFAR10, "--nocontroller_sync_replicas"])
    changes = {"updates_per_epoch": 300, "arcs_per_update": 1}
    assert experiment.search.controller == DEFAULTS.search.controller.model_copy(update=changes)


def test_flags_that_are_left_out_have_the_originals_defaults(translate):
    left_out = ("--batch_size", "--child_keep_prob", "--child_drop_path", "--controller_op", "--controller_entropy")
    _, experiment, _ = translate([word for word in SEARCH_CIFAR10 if not word.startswith(left_out)])
    search = experiment.search
    assert (search.batch_size, search.keep_prob, search.drop_path_keep_prob) == (32, 0.5, 1.0)
    assert (search.controller.op_tanh_reduce, search.controller.entropy_weight) == (1.0, 0.0)


def test_further_flags_of_the_original(translate):
    more = ["--child_cutout_size=16", "--controller_bl_dec=0.9", "--child_grad_bound=1", "--controller_l2_reg=0"]
    _, experiment, lines = translate([*SEARCH_CIFAR10, *more])
    assert experiment.dataset.augmentation.cutout == 16
    assert experiment.search.controller.baseline_decay == 0.9
    assert experiment.search.clip_norm is None
    named = {line.partition(":")[0]: line for line in lines}
    assert "unclipped" in named["--child_grad_bound"]
    assert "centre" in named["--child_cutout_size"]


def test_every_flag_of_the_original_is_a_setting_or_has_a_reason():
    training = {"controller_training", "controller_sync_replicas"}
    assert {name for name, flag in FLAGS.items() if not flag.setting and not flag.note} == training


@pytest.mark.parametrize(
    "program", [["python", "src/cifar10/main.py"], ["CUDA_VISIBLE_DEVICES=0", "python2", "-u", "main.py"]]
)
def test_the_program_may_come_first(translate, program):
    assert translate([*program, *SEARCH_CIFAR10]) == translate(SEARCH_CIFAR10)


@pytest.mark.parametrize(
    ("words", "aux_head"),
    [
        (["--child_use_aux_heads"], True),
        (["--nochild_use_aux_heads"], False),
        (["--child_use_aux_heads=false"], False),
        (["--child_use_aux_heads=True"], True),
        (["--nochild_use_aux_heads", "--child_use_aux_heads"], True),
    ],
)
def test_forms_of_boolean_flags(translate, words, aux_head):
    assert translate([*SEARCH_CIFAR10, *words])[1].search.aux_head is aux_head


def test_both_forms_of_flags_with_a_value(translate):
    separate = [part for word in SEARCH_CIFAR10 for part in word.split("=")]
    assert translate(separate) == translate(SEARCH_CIFAR10)


@pytest.mark.parametrize("command", [SEARCH, AUGMENT], ids=["search", "augment"])
def test_the_published_placeholder_of_the_dataset_is_explained(refused, command):
    line = refused(*command)
    assert "--dataset: 'dataset'" in line
    assert "CIFAR10, CIFAR100" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--batchsize=3"], "--batchsize: unknown flag; did you mean --batch_size?"),
        (["--frobnicate"], "--frobnicate: unknown flag"),
        (["--batch_size=big"], "--batch_size: invalid int value: 'big'"),
        (["--batch_size=1"], "--batch_size: 1: allowed is greater than or equal to 2"),
        (["--batch_size"], "--batch_size: expected one argument"),
        (["--num_epochs=1.5"], "--num_epochs: invalid int value: '1.5'"),
        (["--child_lr_max=nan"], "--child_lr_max: nan"),
        (["--child_lr_max=0.0001"], "--child_lr_min: 0.0005 is above lr_max = 0.0001"),
        (["--child_keep_prob=0"], "--child_keep_prob: 0.0: allowed is greater than 0"),
        (["--child_out_filters=21"], "--child_out_filters: 21"),
        (["--child_use_aux_heads=maybe"], "--child_use_aux_heads: 'maybe' is not a boolean; allowed: true, false"),
        (["--nochild_lr_cosine"], "--child_lr_cosine: False is not supported"),
        (["--search_for=macro"], "--search_for: macro is not supported"),
        (["--child_num_branches=6"], "--child_num_branches: 6 is not supported: there are always 5 operations"),
        (["--controller_train_every=2"], "--controller_train_every: 2 is not supported"),
        (["--controller_temperature=5"], "--controller_temperature: 5.0 is not supported"),
        (["--controller_num_aggregate=0"], "--controller_num_aggregate: 0"),
        (["1", "0"], "'1': not a flag; a value with spaces, such as an arc, needs quotes"),
        ([f"--child_fixed_arc={ARC}"], "--child_fixed_arc: needs --nocontroller_training"),
        (["--child_fixed_arc=arch", "--nocontroller_training"], "--child_fixed_arc: an arc of 5 nodes has 40 integers"),
        (["--child_fixed_arc=0 1", "--nocontroller_training"], "--child_fixed_arc: an arc of 5 nodes has 40 integers"),
        (["--", *AUGMENT_CIFAR10, "--dataset=CIFAR100"], "--dataset: cifar10 in one command, cifar100 in another"),
        (["--", *SEARCH_CIFAR10, "--batch_size=8"], "--batch_size: 160 in one command, 8 in another"),
    ],
)
def test_mistakes_are_named_in_one_line(refused, words, expected):
    assert expected in refused(*SEARCH_CIFAR10, *words)


@pytest.mark.parametrize("flag", ["--child_lr_max", "--child_lr_T_0", "--child_lr_cosine", "--controller_train_every"])
def test_flags_that_the_original_needs_or_whose_default_is_not_supported(refused, flag):
    assert flag in refused(*(word for word in SEARCH_CIFAR10 if not word.startswith(flag)))


def test_mistakes_outside_the_flags(capsys):
    assert main([]) == 2
    assert "follow after --" in capsys.readouterr().err
    assert main(["--name", "9 lives", "--", *SEARCH_CIFAR10]) == 2
    assert "'9 lives'" in capsys.readouterr().err


def test_as_a_program():
    command = [sys.executable, "-m", "enas_core.from_flags", "--name", "mine", "--", *SEARCH_CIFAR10]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert parse_workflow(yaml.safe_load(done.stdout)).experiments["mine"].search == DEFAULTS.search
    assert "--log_every: no meaning here" in done.stderr
