"""Command `from_flags`: turn command lines of the original's `main.py` into an experiment of config.yaml.

    python -m enas_core.from_flags [--name NAME] -- FLAGS [-- FLAGS]

FLAGS are those of a search, of a retraining (with `--child_fixed_arc`), or of one and then the
other. The experiment is printed as YAML; every flag that has no meaning here is named on stderr,
with the reason. A flag that is left out has the value that it has in the original.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Annotated, Any, NamedTuple, NoReturn

import yaml
from cyclopts import Parameter

from enas_core.console import UserError, log
from enas_core.options import AfterDashes, run_command
from enas_core.settings.experiment import experiment_model
from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.micro.arc import OPS


class Flag(NamedTuple):
    """A flag of the original."""

    parse: Callable[[str], Any]
    """Value from its text. Those of `_boolean` also take the forms `--flag` and `--noflag`."""
    default: Any
    """The original's; None: it has none, or none that can be expressed here."""
    setting: str = ""
    """Dotted key in the experiment, `{}` for the section (search or augment); empty: it has none."""
    note: str = ""
    """What to tell whoever gives the flag, `{}` for its value: why it has no setting."""
    only: Any = None
    """The only value that can be expressed here; None: any."""


def _boolean(text: str) -> bool:
    values = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is not a boolean; allowed: true, false")
    return values[text.lower()]


def _dataset(text: str) -> str:
    if text.upper() not in ("CIFAR10", "CIFAR100"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a dataset of the original; allowed: CIFAR10, CIFAR100")
    return text.lower()


_UNUSED = "the original does not use it"


_MACRO = "it belongs to the macro search, which is not part of this project"


_COSINE = "the learning rate follows the cosine schedule"


_REPLICAS = "it distributes the training of the child, which the published commands do not"


_NO_CONTROLLER = "with --child_fixed_arc there is no controller"


FLAGS = {
    "search_for": Flag(str, None, note="the micro search space is the only one here", only="micro"),
    "dataset": Flag(_dataset, "cifar10", "dataset.name"),
    "data_path": Flag(str, "", note="a location is no part of an experiment; use: snakemake --config data_path={}"),
    "data_format": Flag(str, "NHWC", note="the order of a tensor's dimensions changes no result"),
    "output_dir": Flag(str, "", note="results are written to results/NAME, with the name of the experiment"),
    "reset_output_dir": Flag(_boolean, False, note="Snakemake decides what is run again; use: snakemake --forceall"),
    "log_every": Flag(int, 50, note="progress is shown all the time, and every epoch is a row of epochs.parquet"),
    "eval_every_epochs": Flag(int, 1, note="every epoch is evaluated", only=1),
    "batch_size": Flag(int, 32, "{}.batch_size"),
    "num_epochs": Flag(int, 300, "{}.num_epochs"),
    "child_fixed_arc": Flag(str, None, "arcs.fixed_arc"),
    "child_num_cells": Flag(int, 5, "num_nodes"),
    "child_num_branches": Flag(int, 4, note="there are always 5 operations", only=len(OPS)),
    "child_num_layers": Flag(int, 5, "{}.num_layers"),
    "child_out_filters": Flag(int, 48, "{}.num_filters"),
    "child_use_aux_heads": Flag(_boolean, False, "{}.aux_head"),
    "child_keep_prob": Flag(float, 0.5, "{}.keep_prob"),
    "child_drop_path_keep_prob": Flag(float, 1.0, "{}.drop_path_keep_prob"),
    "child_l2_reg": Flag(float, 1e-4, "{}.l2"),
    "child_cutout_size": Flag(
        int,
        0,
        "dataset.augmentation.cutout",
        note="here a random pixel is the centre of the square, in the original its upper left corner",
    ),
    "child_grad_bound": Flag(
        float, 5.0, note="the original clips gradients and then applies the unclipped ones; clip_norm would clip"
    ),
    "child_lr_cosine": Flag(_boolean, False, note="the cosine schedule with restarts is the only one", only=True),
    "child_lr_max": Flag(float, None, "{}.lr_max"),
    "child_lr_min": Flag(float, None, "{}.lr_min"),
    "child_lr_T_0": Flag(int, None, "{}.lr_t_0"),
    "child_lr_T_mul": Flag(int, None, "{}.lr_t_mul"),
    "child_lr": Flag(float, 0.1, note=_COSINE),
    "child_lr_dec_every": Flag(int, 100, note=_COSINE),
    "child_lr_dec_rate": Flag(float, 0.1, note=_COSINE),
    "child_sync_replicas": Flag(_boolean, False, note=_REPLICAS, only=False),
    "child_num_aggregate": Flag(int, None, note=_REPLICAS),
    "child_num_replicas": Flag(int, 1, note=_REPLICAS),
    "child_out_filters_scale": Flag(int, 1, note=_MACRO),
    "child_filter_size": Flag(int, 5, note=_UNUSED),
    "child_block_size": Flag(int, 3, note=_UNUSED),
    "child_skip_pattern": Flag(str, None, note=_UNUSED),
    # these four together say how often the controller is updated, and from how many arcs: see _values
    "controller_training": Flag(_boolean, True),
    "controller_sync_replicas": Flag(_boolean, False),
    "controller_train_steps": Flag(int, 50, "search.controller.updates_per_epoch"),
    "controller_num_aggregate": Flag(int, 1, "search.controller.arcs_per_update"),
    "controller_train_every": Flag(int, 2, note="the controller is trained after every epoch", only=1),
    "controller_lr": Flag(float, 1e-3, "search.controller.learning_rate"),
    "controller_entropy_weight": Flag(float, 0.0, "search.controller.entropy_weight"),
    "controller_bl_dec": Flag(float, 0.99, "search.controller.baseline_decay"),
    "controller_tanh_constant": Flag(float, None, "search.controller.tanh_constant"),
    "controller_op_tanh_reduce": Flag(float, 1.0, "search.controller.op_tanh_reduce"),
    "controller_temperature": Flag(float, 1.0, note="logits have no temperature", only=1.0),
    "controller_l2_reg": Flag(float, 0.0, note="the controller has no L2 term", only=0.0),
    "controller_num_replicas": Flag(int, 1, note="one process trains the controller"),
    "controller_search_whole_channels": Flag(_boolean, False, note=_MACRO),
    "controller_skip_target": Flag(float, 0.8, note=_MACRO),
    "controller_skip_weight": Flag(float, 0.0, note=_MACRO),
    "controller_keep_prob": Flag(float, 0.5, note=_UNUSED),
    "controller_lr_dec_rate": Flag(float, 1.0, note=_UNUSED),
    "controller_forwards_limit": Flag(int, 2, note=_UNUSED),
    "controller_use_critic": Flag(_boolean, False, note=_UNUSED),
}


_SEARCH_ONLY = ("controller_", "child_num_branches", "eval_every_epochs")
"""Beginnings of the names of flags that change nothing where the arc is fixed."""


class _FlagParser(argparse.ArgumentParser):
    """The original's flags, in the forms that its library accepts."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
        for name, flag in FLAGS.items():
            if flag.parse is _boolean:
                self.add_argument(f"--{name}", type=_boolean, nargs="?", const=True)
                self.add_argument(f"--no{name}", dest=name, action="store_false")
            else:
                self.add_argument(f"--{name}", type=flag.parse)

    def error(self, message: str) -> NoReturn:
        raise UserError(message.removeprefix("argument "))


def _parse(command: list[str]) -> dict[str, Any]:
    """The flags that `command` gives, by name; the program before them may be part of it."""
    start = next((i + 1 for i, word in enumerate(command) if PurePath(word).name == "main.py"), 0)
    given, unknown = _FlagParser().parse_known_args(command[start:])
    if unknown:
        word = unknown[0].partition("=")[0]
        if not word.startswith("--"):
            raise UserError(f"{word!r}: not a flag; a value with spaces, such as an arc, needs quotes")
        close = difflib.get_close_matches(word, [f"--{name}" for name in FLAGS], n=1)
        raise UserError(f"{word}: unknown flag" + "".join(f"; did you mean {name}?" for name in close))
    return vars(given)


def _values(given: dict[str, Any]) -> dict[str, Any]:
    """Every flag's value, with the controller's training in the terms of this project."""
    values = {name: flag.default for name, flag in FLAGS.items()} | given
    if not values["controller_sync_replicas"]:  # an update after each arc
        values["controller_train_steps"] *= values["controller_num_aggregate"]
        values["controller_num_aggregate"] = 1
    if values["child_fixed_arc"] is not None and values["controller_training"]:
        raise UserError("--child_fixed_arc: needs --nocontroller_training, as in the original")
    if not values["controller_training"]:
        values["controller_train_steps"] = 0
    return values


def _check(name: str, value: Any, given: bool) -> None:
    flag = FLAGS[name]
    if flag.only is not None and value != flag.only:
        origin = "" if given else " (the value when it is not given)"
        raise UserError(f"--{name}: {value}{origin} is not supported: {flag.note}; allowed: {flag.only}")
    if flag.setting and value is None:
        raise UserError(f"--{name}: missing")


def _note(name: str, value: Any, augment: bool) -> str:
    """What to say about a flag that is given; empty: nothing, it is a setting."""
    flag = FLAGS[name]
    if augment and name.startswith("controller_") and name != "controller_training":
        return f"--{name}: no meaning here: {_NO_CONTROLLER}"
    if not flag.note:
        return ""
    return f"--{name}: {'note' if flag.setting else 'no meaning here'}: {flag.note.format(value)}"


def _translate(command: list[str]) -> tuple[dict[str, tuple[str, Any]], list[str]]:
    """Settings of one command line, dotted key to the flag's name and the value; and a line for every
    given flag that has no meaning here."""
    given = _parse(command)
    values = _values(given)
    augment = values["child_fixed_arc"] is not None
    notes = [line for name in FLAGS if name in given and (line := _note(name, given[name], augment))]
    settings = {}
    for name, flag in FLAGS.items():
        if name.startswith(_SEARCH_ONLY) if augment else name == "child_fixed_arc":
            continue
        _check(name, values[name], name in given)
        if flag.setting:
            settings[flag.setting.format("augment" if augment else "search")] = name, values[name]
    return settings, notes


def _nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested mappings, in the order of an experiment's sections."""
    result: dict[str, Any] = dict.fromkeys(experiment_model("micro").model_fields)
    for key, value in settings.items():
        *parents, last = key.split(".")
        place = result
        for parent in parents:
            place[parent] = place = place.get(parent) or {}
        place[last] = value
    return {key: value for key, value in result.items() if value is not None}


def build(name: str, commands: list[list[str]]) -> tuple[dict[str, Any], list[str]]:
    """Content of config.yaml with the experiment called `name`, and lines about flags without meaning.

    A command is the words after `--`. Raises UserError, one line naming the flag, on the user's mistakes."""
    settings: dict[str, tuple[str, Any]] = {}
    notes: dict[str, None] = {}
    for command in commands:
        more, lines = _translate(command)
        for key, (flag, value) in more.items():
            if key in settings and settings[key][1] != value:
                raise UserError(f"--{flag}: {settings[key][1]} in one command, {value} in another")
        settings |= more
        notes |= dict.fromkeys(lines)
    constant = {"preset": "original", "dataset.source": "torchvision"}
    raw = {"experiments": {name: _nested(constant | {key: value for key, (_, value) in settings.items()})}}
    try:
        parse_workflow(raw, "--name")
    except UserError as error:
        for key, (flag, _) in settings.items():
            if (message := str(error)).startswith(prefix := f"--name: experiments.{name}.{key}: "):
                raise UserError(f"--{flag}: {message.removeprefix(prefix)}") from None
        raise
    return raw, list(notes)


def from_flags(
    *,
    name: Annotated[str, Parameter(help="name of the experiment")] = "from_flags",
    after_dashes: AfterDashes,
) -> None:
    """Turn command lines of the original's main.py into an experiment of config.yaml.

    Usage: [--name NAME] -- FLAGS [-- FLAGS]. FLAGS are those of a search, of a retraining (with --child_fixed_arc), or
    of one and then the other. The experiment is printed as YAML; every flag without a meaning here is named on stderr.

    Example: enas from-flags --name mine -- --search_for=micro --child_num_layers=6
    """
    if not after_dashes:
        raise UserError("no flags: the original's flags follow after --")
    raw, notes = build(name, between_dashes(after_dashes))
    for line in notes:
        log.info("%s", line)
    print(yaml.safe_dump(raw, sort_keys=False, width=1000), end="")


def between_dashes(words: Sequence[str]) -> list[list[str]]:
    """The words before, between and after every `--`."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(from_flags, arguments)


if __name__ == "__main__":
    sys.exit(main())
