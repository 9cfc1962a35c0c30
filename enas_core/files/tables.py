"""Parquet tables with fixed schemas, which every command that reads or writes tables uses.

Fractions are in 0..1, times in seconds, speeds in images per second. `arc` is an architecture in the text form of its
search space, and `space` names that space. Every table's metadata says what made it (`provenance`).
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from enas_core.console import UserError
from enas_core.files.atomic import atomic_path

_I, _F, _S, _B = pa.int64(), pa.float64(), pa.string(), pa.bool_()

SIGNAL_CHECK: dict[str, pa.DataType] = {
    **{"verdict": _S, "num_candidates": _I, "num_images": _I, "chance": _F, "num_above_chance": _I},
    **dict.fromkeys(
        "odds_ratio candidates_low candidates_mean candidates_high spread_ratio spread_p"
        " reliability reliability_low reliability_high".split(),
        _F,
    ),
    "remark": _S,
}
"""Columns of the check of one search's candidates, in `signal` and in `ablation`."""


SCHEMAS: dict[str, pa.Schema] = {
    "random_arcs": pa.schema({"network": _S, "sampler": _S, "seed": _I, "index": _I, "space": _S, "arc": _S}),
    "search_epochs": pa.schema(
        {"experiment": _S, "dataset": _S, "seed": _I, "epoch": _I}
        | dict.fromkeys(
            "learning_rate train_loss train_accuracy valid_accuracy test_accuracy controller_loss"
            " controller_reward controller_baseline controller_entropy controller_grad_norm"
            " images_per_second seconds".split(),
            _F,
        )
    ),
    "candidates": pa.schema(
        {"source": _S, "policy": _S, "space": _S, "arc": _S}
        | {"valid_accuracy": _F, "params": _I, "macs": _I, "selected": _B}
    ),
    "signal": pa.schema({"experiment": _S, "dataset": _S, "seed": _I} | SIGNAL_CHECK),
    "augment_epochs": pa.schema(
        {"experiment": _S, "dataset": _S, "network": _S, "space": _S, "arc": _S, "seed": _I, "epoch": _I}
        | dict.fromkeys(
            "learning_rate drop_path_keep_prob train_loss train_accuracy test_loss test_accuracy"
            " test_balanced_accuracy"
            " valid_loss valid_accuracy images_per_second seconds".split(),
            _F,
        )
    ),
    "metrics": pa.schema(
        {"experiment": _S, "trained_by": _S, "dataset": _S, "network": _S, "role": _S, "space": _S, "arc": _S}
        | {"search_seed": _I, "seed": _I}
        | {"params": _I, "macs": _I, "shared_accuracy": _F, "test_accuracy": _F, "balanced_accuracy": _F}
        | {"test_error": _F, "epochs": _I}
        | {"seconds": _F, "search_seconds": _F, "device": _S, "valid_accuracy": _F}
    ),
    "comparison": pa.schema(
        {"experiment": _S, "dataset": _S, "n_searched": _I, "n_random": _I}
        | dict.fromkeys(
            "searched_mean searched_std random_mean random_std relative_improvement ri_low ri_high p_value"
            " searched_balanced_mean random_balanced_mean"
            " kendall_tau tau_low tau_high searched_params_mean random_params_mean search_hours train_hours".split(),
            _F,
        )
        | {"signal": _S, "num_searches": _I, "signal_seed": _I}
        | dict.fromkeys(
            "chance candidates_low candidates_mean candidates_high reliability reliability_low reliability_high"
            " agreement agreement_low agreement_high".split(),
            _F,
        )
        | {"k": _I, "precision_at_k": _F, "regret_at_k": _F}
    ),
    "classes": pa.schema(
        {"experiment": _S, "dataset": _S, "label": _I, "class": _S}
        | {"test_images": _I, "answered": _I, "correct": _I, "accuracy": _F, "precision": _F}
    ),
    "confusion": pa.schema({"experiment": _S, "dataset": _S, "class": _S, "answer": _S, "images": _I}),
    "predictions": pa.schema(
        {"file": _S, "class": _S, "rank": _I, "answer": _S, "probability": _F, "correct": _B, "error": _S}
    ),
    "ablation": pa.schema(
        {"experiment": _S, "dataset": _S, "variant": _S, "preset": _S, "key": _S, "seed": _I}
        | SIGNAL_CHECK
        | {"n_random": _I, "random_mean": _F, "kendall_tau": _F, "tau_low": _F, "tau_high": _F}
        | {"k": _I, "precision_at_k": _F, "regret_at_k": _F, "controller_entropy": _F, "hours": _F}
    ),
}
"""Columns of each kind of table.

* Both kinds of epochs: `epoch` counts from 0. The losses are the mean cross-entropy of the main classifier in nats,
  `drop_path_keep_prob` is that of the last layer at the epoch's end.
* `search_epochs`: `controller_reward`, `_loss`, `_entropy` and `_grad_norm` are means over the epoch's updates, and
  null where no controller is trained.
* `augment_epochs`: `valid_loss` and `valid_accuracy` are those of the images that `augment.valid_images` holds out, and
  null where it holds out none.
* `candidates`: `source` is `policy`, `random` or `named`, and `policy` names the policy that has proposed the arc,
  null for the other sources. `params` and `macs` are those of the arc's path through the supernet, for one image and
  without auxiliary head.
* `signal` has one row, of the policy's own candidates of one search; see `enas_core.analysis.signal`. `verdict` is `at
  chance`, `order is noise` or `order repeats`. `chance` is the accuracy of always answering the commonest class of the
  validation images, and `odds_ratio` compares the odds of the candidates' mean accuracy with its odds.
  `candidates_low`, `_mean` and `_high` are the lowest, mean and highest accuracy, `spread_ratio` is their variance over
  that of equal candidates, and `reliability` with its 95 % interval is in -1..1. `remark` says why something is null.
* `metrics` has one row a training. `trained_by` is the experiment that has trained the network, another one than
  `experiment` for random networks that come from there (`baseline.from`). `params` and `macs` are those of the
  stand-alone network, for one image and without auxiliary head. `shared_accuracy` is measured in the network's own
  supernet if a search has found it, and is the mean over the search seeds for others. `test_accuracy` and
  `valid_accuracy` are those of the last epoch, the latter null where no images are held out. `seconds` and
  `search_seconds` are the times of the epochs of the training, and of the search that found the network.
* `test_balanced_accuracy`, `balanced_accuracy`: the mean over the classes of the share of their test images that is
  answered correctly; null in tables of an earlier version.
* `classes` and `confusion` are of the final network and the test images after its last epoch. `answered` counts the
  images for which the class was the answer; `accuracy` is correct / test_images, `precision` correct / answered, null
  where there are none. `confusion` has a row for each pair of classes.
* `predictions` has a row for each image and each of its likeliest classes: `rank` 1 is the likeliest. `class` is the
  one in whose folder the image lies, null where it lies in none, and `correct` whether the answer is that. `error` says
  why an image could not be read; it then has one row without an answer.
* `comparison`: see `enas_core.analysis.comparison.summarise`.
* `ablation` has one row a search of a variant of `experiment`: `preset` with the search setting `key` changed to the
  other preset's value, null for the preset itself. The columns of `signal` follow; `candidates_mean` is the children's
  accuracy. `n_random` random arcs that `experiment` has trained from scratch judge the ranking: `random_mean` is their
  mean accuracy with the shared weights, `kendall_tau` (-1..1, with its 95 % interval) ranks that against their test
  accuracy, and `precision_at_k` and `regret_at_k` (fractions) judge the first `k`, as in `comparison`.
  `controller_entropy` is that of the last epoch, nats an arc; `hours` are device-hours of the search's epochs."""


LATER_COLUMNS = {
    "augment_epochs": ("test_balanced_accuracy",),
    "metrics": ("balanced_accuracy",),
    "comparison": ("searched_balanced_mean", "random_balanced_mean"),
}
"""Columns that tables of an earlier version lack, which is no mistake."""

TIMING_COLUMNS = ("images_per_second", "seconds")
"""Columns that differ between two runs with the same results."""


def provenance(device: str, fingerprint: str) -> dict[str, str]:
    """What made a file: versions, git commit, device, and the fingerprint of the settings."""
    return {
        "enas_version": importlib.metadata.version("enas-workflow"),
        "git_commit": _git_commit(),
        "torch_version": importlib.metadata.version("torch"),
        "device": device,
        "config_fingerprint": fingerprint,
    }


@functools.cache
def _git_commit() -> str:
    """Commit of the source tree, with `-dirty` where files differ from it; `unknown` outside git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def write_table(path: Path, kind: str, rows: Sequence[dict[str, Any]], made_by: Mapping[str, Any]) -> None:
    """Write `rows` as a table of the given kind, atomically."""
    table = pa.Table.from_pylist(list(rows), schema=SCHEMAS[kind])
    table = table.replace_schema_metadata({"kind": kind, "provenance": json.dumps(dict(made_by))})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_table(path: Path, kind: str, required: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rows of a table of the given kind. Columns that are missing, but for the `required` ones (default: all but
    `LATER_COLUMNS`), are None, as in tables of other versions. Raises UserError, one line, when it is not such a
    table."""
    if required is None:
        required = [name for name in SCHEMAS[kind].names if name not in LATER_COLUMNS.get(kind, ())]
    try:
        with pq.ParquetFile(path) as file:  # `read_table` would import pandas
            table = file.read()
        schema = pa.schema([field for field in SCHEMAS[kind] if field.name in table.column_names])
        missing = [name for name in required if name not in schema.names]
        if missing:
            raise UserError(f"{path}: not a table of kind {kind}: columns {', '.join(missing)} are missing")
        rows = table.select(schema.names).cast(schema)
        rows.validate(full=True)
        return [dict.fromkeys(SCHEMAS[kind].names) | row for row in rows.to_pylist()]
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable Parquet file: {' '.join(str(error).split())[:200]}") from None


def read_provenance(path: Path) -> dict[str, Any]:
    """What was recorded as having made a table; empty when nothing was."""
    metadata = pq.read_schema(path).metadata or {}
    recorded: dict[str, Any] = json.loads(metadata.get(b"provenance", b"{}"))
    return recorded


def table_identity(path: Path) -> str | None:
    """The run that a table is of, as its stage recorded it; None when there is no such table."""
    try:
        return read_provenance(path).get("run")
    except (OSError, pa.ArrowException, ValueError):
        return None


def best_candidate(paths: Sequence[Path]) -> tuple[int, str]:
    """Position and arc of the table whose selected arc has the highest shared validation accuracy; the
    first of equals."""
    selected = [_selected(path) for path in paths]
    position = max(range(len(selected)), key=lambda i: selected[i]["valid_accuracy"])
    return position, selected[position]["arc"]


def _selected(path: Path) -> dict[str, Any]:
    """The one selected row of candidates.parquet."""
    selected = [row for row in read_table(path, "candidates") if row["selected"]]
    if len(selected) != 1 or any(value is None for value in selected[0].values()):
        raise UserError(f"{path}: needs one selected candidate without empty values, has {len(selected)}")
    return selected[0]
