"""Tables that the report and Snakemake's report have in common: trained networks, classes, settings, what made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from enas_core.analysis.results import Row
from enas_core.files.tables import read_provenance
from enas_core.pages.finished import Setting
from enas_core.pages.numbers import duration, error, percent
from enas_core.pages.tables import Column, Table

NETWORKS = (
    Column("network", "network"),
    Column("seed", "seed"),
    Column("test_accuracy", "test accuracy", percent),
    Column("test_error", "test error", error),
    Column("balanced_accuracy", "balanced", percent),
    Column("shared_accuracy", "shared accuracy", percent),
    Column("params", "parameters"),
    Column("macs", "MACs"),
    Column("epochs", "epochs"),
    Column("seconds", "training", duration),
    Column("arc", "arc", kind="code"),
)


MANY_NETWORKS = 200
"""So many of the best trainings are shown, and all of those that are not of random networks."""


def networks_table(metrics: Iterable[Row], title: str = "") -> Table:
    """One row a training, the best first."""
    best_first = sorted(metrics, key=lambda row: -(row["test_accuracy"] or 0.0))
    rows = [row for i, row in enumerate(best_first) if i < MANY_NETWORKS or row["role"] != "random"]
    left_out = len(best_first) - len(rows)
    note = f"{left_out:,} more random ones, which reach less, are in metrics.parquet." if left_out else ""
    return Table(NETWORKS, rows, title, note)


CLASSES = (
    Column("class", "class"),
    Column("test_images", "test images"),
    Column("answered", "answered"),
    Column("correct", "correct"),
    Column("accuracy", "accuracy", percent),
    Column("precision", "precision", percent),
)


def classes_table(classes: Sequence[Row], title: str = "") -> Table:
    """One row a class of the final network, in the order of the labels."""
    return Table(CLASSES, classes, title)


SETTINGS = (
    Column("key", "setting", kind="code"),
    Column("value", "value", kind="code"),
    Column("default", "default", kind="code"),
    Column("meaning", "meaning", kind="text"),
    Column("stages", "seen by"),
)


def settings_tables(settings: Sequence[Setting]) -> list[Table]:
    """What differs from the defaults, then the rest."""
    changed: list[dict[str, str | None]] = []
    same: list[dict[str, str | None]] = []
    for described, stages in settings:
        row = {**described._asdict(), "stages": ", ".join(stages)}
        (changed if described.changed else same).append(row)
    return [
        Table(SETTINGS, changed, "Changed from the defaults"),
        Table([column for column in SETTINGS if column.key != "default"], same, "At their defaults"),
    ]


MANY_TABLES = 100
"""Tables of more trainings than so many, which were made alike, are shown as one."""

FACTS = {
    "enas_version": "version",
    "git_commit": "commit",
    "torch_version": "torch",
    "device": "device",
    "config_fingerprint": "settings",
}
"""What a table records of what made it."""

SHORT = 12
"""Digits of a commit and of the settings' fingerprint that tell them from others."""

MAKERS = (
    Column("file", "file", kind="code"),
    *(Column(fact, title, kind="code") for fact, title in FACTS.items()),
)


def makers_table(files: Sequence[Path], trainings: Sequence[Path], title: str = "") -> Table:
    """What made each of the files, and each of the trainings' tables; one row for all of these that were made alike
    where they are many."""
    rows = [{"file": str(path), **_what_made(path)} for path in files]
    alike: dict[tuple[str, ...], list[Path]] = {}
    for path in trainings:
        alike.setdefault(tuple(_what_made(path).values()), []).append(path)
    for facts, tables in alike.items():
        made_by = dict(zip(FACTS, facts, strict=True))
        many = len(tables) > MANY_TABLES
        names = [f"{tables[0]} and {len(tables) - 1} others"] if many else [str(path) for path in tables]
        rows += [{"file": name, **made_by} for name in names]
    return Table(MAKERS, rows, title)


def _what_made(path: Path) -> dict[str, str]:
    """What a table says of itself, shortened."""
    made_by = read_provenance(path)
    facts = {fact: str(made_by.get(fact, "unknown")) for fact in FACTS}
    commit, _, dirty = facts["git_commit"].partition("-")
    facts["git_commit"] = "-".join(part for part in (commit[:SHORT], dirty) if part)
    facts["config_fingerprint"] = facts["config_fingerprint"][:SHORT]
    return facts
