"""A desk: the inputs of all stages in one folder, where one of them can be spoilt, and their command lines."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trials

from enas_core.files.tables import provenance, write_table

STAGES = ("prepare_data", "random_arcs", "search", "select_arc", "augment", "final")
WITH_SETTINGS = STAGES[:-1]
WITH_DATA = ("search", "select_arc", "augment")

CANDIDATE = {
    "source": "policy",
    "policy": "controller",
    "space": "micro",
    "arc": trials.ARC,
    "valid_accuracy": 0.5,
    "params": 1,
    "macs": 1,
    "selected": True,
}


@dataclass
class Desk:
    """A folder with the inputs of all stages, `out` for what they write, and their command lines."""

    folder: Path

    def options(self, stage: str) -> dict[str, Any]:
        """The command line of `stage`, which works, by option."""
        here, out = self.folder, self.folder / "out"
        common = {"config": here / f"config/{stage}.json", "data": here / "data", "seed": 1, "device": "cpu"}
        training = {"out-dir": out, "state-dir": out / "state"}
        return {
            "prepare_data": {"config": common["config"], "out-dir": out},
            "random_arcs": {"config": common["config"], "count": 2, "out": out / "random_arcs.parquet"},
            "search": common | training,
            "augment": common | training | {"arc-file": here / "arc.txt", "network": "mine"},
            "select_arc": common
            | {"supernet": here / "supernet.pt", "random-arcs": here / "random_arcs.parquet"}
            | {"out-dir": out, "arc-out": out / "arc.txt"},
            "final": {"candidates": here / "candidates.parquet", "models": here / "model", "out": out / "final.pt"},
        }[stage]

    def run(self, stage: str, **changes: Any) -> tuple[int, list[str]]:
        """Exit code and lines on stderr with some options (`_` for `-`) changed; None leaves one out."""
        options = self.options(stage) | {name.replace("_", "-"): value for name, value in changes.items()}
        words = [f"--{name}={value}" for name, value in options.items() if value is not None]
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            try:
                code = importlib.import_module(f"enas_core.{stage}").main(words)
            except SystemExit as exit:  # argparse
                code = exit.code
        return code, stderr.getvalue().splitlines()

    def refuse(self, stage: str, *words: str, **changes: Any) -> None:
        """One line with `words`, and nothing written."""
        code, lines = self.run(stage, **changes)
        assert code == 2, lines
        errors = [line for line in lines if "has the best selected arc" not in line]
        assert len(errors) == 1, lines
        assert errors[0].startswith("error: ")
        assert all(word in errors[0] for word in words), errors[0]
        written = [path for path in (self.folder / "out").rglob("*") if path.is_file() and path.name != "lock"]
        assert written == []


def fill(folder: Path, inputs: Path, references: dict[str, Any]) -> Desk:
    """A desk in an empty folder."""
    shutil.copytree(inputs, folder, dirs_exist_ok=True)
    shutil.copy(references["search"].folder / "out/supernet.pt", folder)
    shutil.copytree(references["augment"].folder / "out", folder / "model")
    write_table(folder / "candidates.parquet", "candidates", [CANDIDATE], provenance("cpu", ""))
    arc = {"network": "random-00", "sampler": "uniform", "seed": 0, "index": 0, "arc": trials.ARC, "space": "micro"}
    write_table(folder / "random_arcs.parquet", "random_arcs", [arc], provenance("cpu", ""))
    (folder / "file").write_text("")
    return Desk(folder)


def change_manifest(desk: Desk, **changes: Any) -> None:
    path = desk.folder / "data/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def put_array(desk: Desk, name: str, content: bytes) -> None:
    """Put an array file in its place, and its checksum in the manifest."""
    (desk.folder / f"data/{name}.npy").write_bytes(content)
    known = json.loads((desk.folder / "data/manifest.json").read_text())["sha256"]
    change_manifest(desk, sha256=known | {f"{name}.npy": hashlib.sha256(content).hexdigest()})
