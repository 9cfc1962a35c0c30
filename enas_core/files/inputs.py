"""What all stages share: options, inputs that must not change, log lines, progress, and one-line errors."""

from __future__ import annotations

import hashlib
from pathlib import Path

from enas_core.console import RunError, UserError
from enas_core.files.reading import require_regular


class Inputs:
    """The files that decide what a stage computes, as they are when it starts. A stage that outlives Snakemake must
    not write results of old settings to where a rerun expects those of new ones."""

    def __init__(self, *paths: Path) -> None:
        self.contents = {path: _digest(path) for path in paths}

    def require_unchanged(self) -> None:
        """To be called just before outputs are written. Raises RunError when a file is another one now."""
        for path, content in self.contents.items():
            if _digest(path) != content:
                raise RunError(f"{path}: changed since this stage started; its results are not written")


def _digest(path: Path) -> bytes | None:
    try:
        require_regular(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, UserError):
        return None  # whoever reads it says so
