"""Turn command lines of the original's `main.py` into an experiment of config.yaml.

    python -m enas_core.from_flags [--name NAME] -- FLAGS [-- FLAGS]

FLAGS are those of a search, of a retraining (with `--child_fixed_arc`), or of one after the other.
The experiment is printed as YAML; every flag that has no meaning here is named on stderr, with the
reason. A flag that is left out has the value that it has in the original, and what the original
refuses is refused.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from enas_core.arc import OPS
from enas_core.cli import Parser, log, run_stage
from enas_core.config import parse_workflow

Values = dict[str, Any]


class Flag(NamedTuple):
    """A flag of the original."""

    parse: Callable[[str], Any]
    """From its text; `_boolean` flags also have the forms `--flag` and `--noflag`."""
    default: Any
    """The original's; None: it has none, or one that this project cannot express."""
    setting: str = ""
    """Dotted key in the experiment; `{}` stands for search or augment."""
    note: str = ""
    """What to tell whoever gives the flag: why it has no meaning here."""
    only: Any = None
    """The only value that this project can express; None: any."""


def _boolean(text: str) -> bool:
    values = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is not a boolean; allowed: true, false")
    return values[text.lower()]


def _dataset(text: str) -> str:
    if text.upper() not in ("CIFAR10", "CIFAR100"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a dataset; allowed: CIFAR10, CIFAR100")
    return text.lower()


_MACRO = "used by the macro search only, which is not part of this project"
_UNUSED = "the original never uses it"
_NO_DECAY = "the learning rate follows the cosine schedule"
_NO_REPLICAS = "the supernet is trained without parameter servers, as in the published commands"
_NO_CONTROLLER = "no meaning where the arc is fixed: there is no controller"

FLAGS = {
    "reset_output_dir": Flag(_boolean, False, note="Snakemake decides what is redone (all of it: snakemake --forceall)"),
    "data_path": Flag(str, "", note="a location is not part of an experiment: snakemake --config data_path={}"),
    "dataset": Flag(_dataset, "cifar10", "dataset.name"),
    "output_dir": Flag(str, "", note="results are written to results/, in a folder named like the experiment"),
    "data_format": Flag(str, "NHWC", note="the order of a tensor's dimensions changes no result"),
    "search_for": Flag(str, None, note="the micro search space is the only one here", only="micro"),
    "batch_size": Flag(int, 32, "{}.batch_size"),
    "num_epochs": Flag(int, 300, "{}.num_epochs"),
    "log_every": Flag(int, 50, note="every epoch is one row of epochs.parquet"),
    "eval_every_epochs": Flag(int, 1, note="every epoch is evaluated, and trains the controller", only=1),
    "child_num_layers": Flag(int, 5, "{}.num_layers"),
    "child_num_cells": Flag(int, 5, "num_nodes"),
    "child_out_filters": Flag(int, 48, "{}.num_filters"),
    "child_num_branches": Flag(int, 4, note="the micro search space has 5 operations", only=len(OPS)),
    "child_use_aux_heads": Flag(_boolean, False, "{}.aux_head"),
    "child_keep_prob": Flag(float, 0.5, "{}.keep_prob"),
    "child_drop_path_keep_prob": Flag(float, 1.0, "{}.drop_path_keep_prob"),
    "child_l2_reg": Flag(float, 1e-4, "{}.l2"),
    "child_cutout_size": Flag(
        int,
        0,
        "dataset.augmentation.cutout",
        note="the square lies around a random centre; in the original, to the lower right of a random pixel",
    ),
    "child_grad_bound": Flag(
        float, 5.0, note="the original applies the unclipped gradients; the setting clip_norm really clips"
    ),
    "child_lr_cosine": Flag(_boolean, False, note="the cosine schedule with restarts is the only one here", only=True),
    "child_lr_max": Flag(float, None, "{}.lr_max"),
    "child_lr_min": Flag(float, None, "{}.lr_min"),
    "child_lr_T_0": Flag(int, None, "{}.lr_t_0"),
    "child_lr_T_mul": Flag(int, None, "{}.lr_t_mul"),
    "child_lr": Flag(float, 0.1, note=_NO_DECAY),
    "child_lr_dec_every": Flag(int, 100, note=_NO_DECAY),
    "child_lr_dec_rate": Flag(float, 0.1, note=_NO_DECAY),
    "child_sync_replicas": Flag(_boolean, False, note=_NO_REPLICAS, only=False),
    "child_num_aggregate": Flag(int, None, note=_NO_REPLICAS),
    "child_num_replicas": Flag(int, 1, note=_NO_REPLICAS),
    "child_fixed_arc": Flag(str, None, "arcs.fixed_arc"),
    "child_filter_size": Flag(int, 5, note=_MACRO),
    "child_out_filters_scale": Flag(int, 1, note=_MACRO),
    "child_block_size": Flag(int, 3, note=_UNUSED),
    "child_skip_pattern": Flag(str, None, note=_UNUSED),
    # Without synchronised replicas, and without training, these two mean something else: see _read.
    "controller_train_steps": Flag(int, 50, "search.controller.updates_per_epoch"),
    "controller_num_aggregate": Flag(int, 1, "search.controller.arcs_per_update"),
    "controller_sync_replicas": Flag(_boolean, False),
    "controller_training": Flag(_boolean, True),
    "controller_train_every": Flag(int, 2, note="the controller is trained after every epoch", only=1),
    "controller_lr": Flag(float, 1e-3, "search.controller.learning_rate"),
    "controller_entropy_weight": Flag(float, 0.0, "search.controller.entropy_weight"),
    "controller_bl_dec": Flag(float, 0.99, "search.controller.baseline_decay"),
    "controller_tanh_constant": Flag(float, None, "search.controller.tanh_constant"),
    "controller_op_tanh_reduce": Flag(float, 1.0, "search.controller.op_tanh_reduce"),
    "controller_l2_reg": Flag(float, 0.0, note="the controller has no L2 term", only=0.0),
    "controller_search_whole_channels": Flag(_boolean, False, note=_MACRO),
    "controller_skip_target": Flag(float, 0.8, note=_MACRO),
    "controller_skip_weight": Flag(float, 0.0, note=_MACRO),
    "controller_num_replicas": Flag(int, 1, note="one process trains the controller"),
    "controller_lr_dec_rate": Flag(float, 1.0, note=_UNUSED),
    "controller_keep_prob": Flag(float, 0.5, note=_UNUSED),
    "controller_forwards_limit": Flag(int, 2, note=_UNUSED),
    "controller_use_critic": Flag(_boolean, False, note=_UNUSED),
}
"""Flags by name. `controller_temperature` is left out: no setting divides the logits."""
