"""A folder in which Snakemake is really run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from enas_core.files.schemas import BY_MACHINE

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/configs/tiny.yaml"
LOCAL_PROFILE = ROOT / "workflow/profiles/default"


class Workspace:
    """A working folder with its own config file."""

    def __init__(self, folder: Path, snakefile: Path = ROOT / "Snakefile") -> None:
        self.folder, self.config = folder, folder / "tiny.yaml"
        self.snakefile = snakefile
        self.results = folder / "results"
        self.printed = folder / "printed.txt"

    def copied_to(self, folder: Path) -> Workspace:
        """A copy of all that is there, to be changed."""
        subprocess.run(["cp", "-a", f"{self.folder}/.", str(folder)], check=True)
        return Workspace(folder)

    def run(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile), "-d", str(self.folder)]
        command += ["--configfile", str(self.config), "--cores", str(cores), *arguments]
        environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment)

    def make(self, *arguments: str, cores: int = 2) -> list[str]:
        """Run successfully; returns the names of the rules that ran."""
        done = self.run(*arguments, cores=cores)
        assert done.returncode == 0, done.stderr
        return re.findall(r"^\s*(?:local)?rule (\w+):", done.stdout + done.stderr, re.MULTILINE)

    def fail(self, *arguments: str) -> str:
        """Run with a failure; returns what was printed."""
        done = self.run(*arguments)
        assert done.returncode != 0
        return done.stderr

    def edit(self, **changes: Any) -> None:
        """Change settings of `tiny`, by dotted key with `__` for the dot."""
        content = yaml.safe_load(self.config.read_text())
        for key, value in changes.items():
            *sections, name = key.split("__")
            target = content["experiments"]["tiny"]
            for section in sections:
                target = target.setdefault(section, {})
            target[name] = value
        self.config.write_text(yaml.safe_dump(content))


def comparable(path: Path) -> pd.DataFrame:
    """A table without what clock and machine decide."""
    return pd.read_parquet(path).drop(columns=list(BY_MACHINE), errors="ignore")
