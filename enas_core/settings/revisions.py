"""Changes of what the code computes: who has results of an earlier version learns that, and why, they are made again.

Settings alone do not say what a result is, the code does too. As long as the code computes the same, a new version
leaves results, states and networks alone. When a change alters the results of a stage, it gets an entry here, and only
here: the revision counts one further, and with it the text of the stage's settings changes, by which results are known.
So the stage runs again, and what depends on it, and `what_is_stale` says so before.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from enas_core.files.reading import TEXT, read_bytes


class Change(NamedTuple):
    """A change after which a stage computes other results from the same settings."""

    version: str
    """The first version that has it."""
    reason: str
    """What was changed and why, for those whose results are made again: the end of one line."""


CHANGES: dict[str, tuple[Change, ...]] = {}
"""By stage, in the order in which they were made. Nothing is ever removed."""

WITHOUT_SETTINGS = {"compare": "comparison.parquet"}
"""Stages that have no settings but their revision, and so no file of settings before there is a second one. Of those, a
result says that there was a first one."""


def revision_of(stage: str) -> int:
    """Of the results that this version computes."""
    return 1 + len(CHANGES.get(stage, ()))


def what_is_stale(folder: Path, stage: str) -> str | None:
    """One line when a stage's results in `folder`, those of an experiment, are of another revision and will be made
    again; None where there are no results, or none but today's."""
    found = _revision_in(folder, stage)
    if found is None or found == revision_of(stage):
        return None
    if found > revision_of(stage):
        return f"{folder}: {stage}: results of a later version are made again as this one computes them"
    changes = CHANGES[stage][found - 1 :]
    reasons = "; ".join(f"{change.reason} ({change.version})" for change in changes)
    return f"{folder}: {stage}: results of versions before {changes[0].version} are made again: {reasons}"


def _revision_in(folder: Path, stage: str) -> int | None:
    """The revision that the settings beside the results name; None where there is none to be found."""
    try:
        written = json.loads(read_bytes(folder / "config" / f"{stage}.json", TEXT))
        revision = written.get("revision", 1)
        return revision if isinstance(revision, int) else None
    except OSError:
        result = WITHOUT_SETTINGS.get(stage)
        return 1 if result is not None and (folder / result).exists() else None
    except (ValueError, AttributeError, RecursionError):
        return None  # whoever reads it says so
