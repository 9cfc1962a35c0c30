"""Is the working tree slower than a git revision? Both do the same work in turn, A B A B ..., and a ratio says.

    python benchmarks/against.py 5d9cf9c
    python benchmarks/against.py HEAD --quick --only startup scoring

Classes and functions move between revisions, so what is measured is what stays: the commands, with the options that
each side's own workflow gives them. Both sides are copies in a temporary folder, so the tree may be edited meanwhile.

`ratio` is the working tree's cost divided by the revision's: above 1 the working tree is slower, or needs more memory.
It is the median over rounds of the ratio within a round; `ratio_of_best` is that of each side's fastest round, which
other programs on the machine disturb less. `same_results`: both sides computed the same losses or arcs, so they did the
same work. Writes benchmarks/results/against.parquet."""

from __future__ import annotations

import argparse
import io
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from harness import Finished, finish, parser, quartiles, run_python
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TOLERATED = 1.03
"""Rows with a larger ratio are marked."""
SLOWER = "slower"
FEW_CANDIDATES = 2
"""Scoring is measured as the difference between two runs, of few and of many candidates, so that start-up cancels."""
PYTHON_COMMAND = re.compile(r"^\s*Shell command: python -m (enas_core\.(search|augment|select_arc) .*)$", re.MULTILINE)
"""How Snakemake's --printshellcmds shows the commands that are measured."""

CIFAR_SHAPE: dict[str, Any] = {"name": "cifar10", "source": "parquet", "max_train_images": 432, "max_test_images": 40}
DIGITS = {
    "name": "digits",
    "source": "digits",
    "split_test_images": 64,
    "max_train_images": 416,
    "augmentation": {"crop_padding": 1, "flip": False},
}
CONTROLLER = {"updates_per_epoch": 2, "arcs_per_update": 4}

SIZES: dict[str, dict[str, Any]] = {
    "digits": {
        "dataset": DIGITS,
        "search": {
            "num_epochs": 6,
            "batch_size": 32,
            "num_layers": 2,
            "num_filters": 8,
            "aux_head": False,
            "valid_images": 96,
            "controller": CONTROLLER,
        },
        "select": {"num_candidates": 22},
        "augment": {"num_epochs": 6, "batch_size": 32, "num_layers": 2, "num_filters": 8, "aux_head": False},
    },
    "small": {
        "dataset": CIFAR_SHAPE,
        "search": {
            "num_epochs": 4,
            "batch_size": 40,
            "num_layers": 3,
            "num_filters": 8,
            "valid_images": 112,
            "controller": CONTROLLER,
        },
        "select": {"num_candidates": 40},
        "augment": {"num_epochs": 4, "batch_size": 40, "num_layers": 3, "num_filters": 8},
    },
    # The original's networks, for a few steps: two of the search and three of augment in an epoch.
    "full": {
        "dataset": CIFAR_SHAPE,
        "search": {
            "num_epochs": 3,
            "batch_size": 160,
            "num_layers": 6,
            "num_filters": 20,
            "valid_images": 112,
            "controller": CONTROLLER,
        },
        "select": {"num_candidates": 10},
        "augment": {"num_epochs": 2, "batch_size": 144, "num_layers": 15, "num_filters": 36},
    },
}
"""Settings of the experiments. Everything that they do not name has the side's own default."""


def configuration(sizes: list[str], threads: int) -> dict[str, Any]:
    """What the sides' workflows read in place of config.yaml."""
    experiments = {}
    for size in sizes:
        experiments[size] = SIZES[size] | {"cpu_threads": threads}
        experiments[f"{size}_few"] = {"extends": size, "select": {"num_candidates": FEW_CANDIDATES}}
    return {"experiments": experiments}


def write_images(folder: Path) -> None:
    """Random images of CIFAR's shape, in Parquet files as Hugging Face has them."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for part in ("train", "test"):
        count = CIFAR_SHAPE[f"max_{part}_images"]
        images = []
        for pixels in random.integers(256, size=(count, 32, 32, 3), dtype=np.uint8):
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "PNG")
            images.append({"bytes": content.getvalue(), "path": None})
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        labels = pa.array([i % 10 for i in range(count)], pa.int64())
        pq.write_table(pa.table({"img": pa.array(images, kind), "label": labels}), folder / f"{part}.parquet")


# --- the two sides ---------------------------------------------------------------------------------------------------


@dataclass
class Side:
    """One state of the code, and the folder that its commands run in."""

    name: str
    code: Path
    folder: Path
    commands: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """What the side's workflow runs, by experiment and stage: the arguments behind `python`."""

    def __post_init__(self) -> None:
        self.folder.mkdir()

    def python(self, *arguments: str, expected: int = 0) -> Finished:
        """Run the interpreter with this side's code."""
        return run_python(arguments, self.code, self.folder, expected)

    def prepare(self, targets: list[str], settings: dict[str, Any], data: Path, device: str) -> None:
        """Let the side's workflow make `targets` once, which also warms caches up, and keep its commands."""
        (self.folder / "bench.yaml").write_text(yaml.safe_dump(settings))
        arguments = ["--snakefile", str(self.code / "Snakefile"), "--configfile", "bench.yaml"]
        arguments += ["--cores", "2", "--resources", "gpu=1"]  # One training at a time: memory is limited.
        arguments += ["--printshellcmds", "--config", f"data_path={data}", f"device={device}", "--", *targets]
        self.commands = printed_commands(self.python("-m", "snakemake", *arguments).output)

    def run_stage(self, experiment: str, stage: str, settings_of: str | None = None) -> tuple[Finished, Path]:
        """Run a stage of `experiment` into an empty folder, from the settings of experiment `settings_of` instead
        if that is given. Returns how it went, and the folder."""
        outputs = self.folder / "outputs"
        shutil.rmtree(outputs, ignore_errors=True)
        outputs.mkdir()
        command = with_outputs(self.commands[experiment, stage], outputs)
        if settings_of is not None:
            command[command.index("--config") + 1] = f"results/{settings_of}/config/{stage}.json"
        return self.python(*command), outputs


def printed_commands(output: str) -> dict[tuple[str, str], list[str]]:
    """The commands in what Snakemake has printed, by experiment and stage."""
    commands = {}
    for match in PYTHON_COMMAND.finditer(output):
        command = ["-m", *shlex.split(match[1])]
        config = Path(command[command.index("--config") + 1])  # results/EXPERIMENT/config/STAGE.json
        commands[config.parts[1], match[2]] = command
    return commands


def with_outputs(command: list[str], folder: Path) -> list[str]:
    """The same command with everything that it writes in `folder`."""
    places = {
        "--out-dir": folder,
        "--state-dir": folder / "state",
        "--arc-out": folder / "arc.txt",
        "--log-file": folder / "log",
    }
    result = command.copy()
    for option, place in places.items():
        if option in result:
            result[result.index(option) + 1] = str(place)
    return result


def targets(only: list[str], sizes: list[str]) -> list[str]:
    """Files from which on the measured commands can run."""
    result = []
    for size in sizes:
        if "search" in only:
            result.append(f"results/{size}/search/s1/supernet.pt")
        if "augment" in only:
            result.append(f"results/{size}/networks/random-00/seed1/model.pt")
        if "scoring" in only:
            result.append(f"results/{size}/arcs/searched-s1.txt")
            result.append(f"results/{size}_few/config/select_arc.json")
    return result


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in this repository."""
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True)


def copy_revision(revision: str, code: Path) -> None:
    """The files of a revision."""
    archive = git("archive", "--format=tar", revision).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(code, filter="data")


def copy_working_tree(code: Path) -> None:
    """The files of the working tree as they are now, those that git does not know yet included."""
    names = git("ls-files", "--cached", "--others", "--exclude-standard", "-z").stdout.decode().split("\0")
    for name in filter(None, names):
        source = ROOT / name
        if source.is_file():  # a tracked file may have been deleted
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, code / name)


# --- what is measured ------------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """One quantity of one side in one round."""

    what: str
    size: str
    unit: str
    cost: float
    results: list[Any] | None = None
    """What the side computed meanwhile, to see whether the other computed the same."""


def measure_training(side: Side, size: str, stage: str, step: str) -> list[Reading]:
    """Time of a training step and of a whole epoch, and peak memory. The first epoch does not count."""
    finished, outputs = side.run_stage(size, stage)
    epochs = pd.read_parquet(outputs / "epochs.parquet")
    counted = epochs.iloc[1:]
    step_ms = 1e3 * SIZES[size][stage]["batch_size"] / counted["images_per_second"].median()
    losses = epochs["train_loss"].tolist()
    return [
        Reading(step, size, "ms", step_ms, losses),
        Reading(f"{stage}, whole epoch", size, "s", counted["seconds"].median(), losses),
        Reading(f"{stage}, peak memory", size, "MB", finished.peak_megabytes, losses),
    ]


def measure_search(side: Side, size: str) -> list[Reading]:
    """The supernet's steps; a whole epoch has the controller's updates and the evaluations too."""
    return measure_training(side, size, "search", "supernet step")


def measure_augment(side: Side, size: str) -> list[Reading]:
    """The stand-alone network's steps; a whole epoch has the evaluation too."""
    return measure_training(side, size, "augment", "augment step")


def measure_scoring(side: Side, size: str) -> list[Reading]:
    """Time of select_arc for one more candidate."""
    few, outputs = side.run_stage(size, "select_arc", settings_of=f"{size}_few")
    few_arcs = pd.read_parquet(outputs / "candidates.parquet")["arc"].tolist()
    many, outputs = side.run_stage(size, "select_arc")
    arcs = pd.read_parquet(outputs / "candidates.parquet")["arc"].tolist()
    cost = 1e3 * (many.seconds - few.seconds) / (len(arcs) - len(few_arcs))
    return [Reading("scoring, a candidate", size, "ms", cost, arcs)]


def measure_startup(side: Side) -> list[Reading]:
    """Time until a question or a mistake is answered."""
    bad = side.folder / "bad.yaml"
    bad.write_text("experiments:\n  digits:\n    dataset: {name: digits, source: digits}\n    searhc: {}\n")
    answers = {
        "--help": side.python("-m", "enas_core.search", "--help"),
        "wrong option": side.python("-m", "enas_core.search", "--wrong", expected=2),
        "bad setting": side.python("-m", "enas_core.config", "--configfile", str(bad), expected=2),
    }
    return [Reading(f"start-up, {what}", "", "s", finished.seconds) for what, finished in answers.items()]


STAGES: dict[str, Callable[[Side, str], list[Reading]]] = {
    "search": measure_search,
    "augment": measure_augment,
    "scoring": measure_scoring,
}


def measure(side: Side, only: list[str], sizes: list[str]) -> list[Reading]:
    """Everything once."""
    readings = measure_startup(side) if "startup" in only else []
    for size in sizes:
        for name, stage in STAGES.items():
            if name in only:
                readings += stage(side, size)
    return readings


# --- the table -------------------------------------------------------------------------------------------------------


def row(revision: list[Reading], tree: list[Reading]) -> dict[str, Any]:
    """One quantity: a reading of each side for each round."""
    ratios = [after.cost / before.cost for before, after in zip(revision, tree, strict=True)]
    low, median, high = quartiles(ratios)
    what, size, unit, *_ = tree[0]
    compared = zip(revision, tree, strict=True)
    return {
        "what": what,
        "size": size,
        "unit": unit,
        "revision": statistics.median(reading.cost for reading in revision),
        "working_tree": statistics.median(reading.cost for reading in tree),
        "ratio": median,
        "low_quartile": low,
        "high_quartile": high,
        "ratio_of_best": min(reading.cost for reading in tree) / min(reading.cost for reading in revision),
        "rounds": len(ratios),
        "same_results": None if tree[0].results is None else all(a.results == b.results for a, b in compared),
        "mark": SLOWER if median > TOLERATED else "",
    }


def table(rounds: list[tuple[list[Reading], list[Reading]]]) -> list[dict[str, Any]]:
    """One row a quantity, from the readings of the revision and of the working tree in each round."""
    revisions = zip(*(revision for revision, _ in rounds), strict=True)
    trees = zip(*(tree for _, tree in rounds), strict=True)
    return [row(list(before), list(after)) for before, after in zip(revisions, trees, strict=True)]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options. `revision` becomes a short hash."""
    options_parser = parser(__doc__, rounds=5)
    options_parser.formatter_class = argparse.RawDescriptionHelpFormatter
    options_parser.set_defaults(threads=1)
    options_parser.add_argument("revision", help="what the working tree is compared with: anything that git names")
    options_parser.add_argument("--only", nargs="+", choices=[*STAGES, "startup"], default=[*STAGES, "startup"])
    options_parser.add_argument("--sizes", nargs="+", choices=SIZES, help="(default: all; with --quick, digits)")
    options_parser.add_argument("--device", choices=["cpu", "cuda", "auto"], default="cpu", help="(%(default)s)")
    options = options_parser.parse_args(arguments)
    if options.rounds < 1:
        options_parser.error("--rounds: at least 1")
    try:
        commit = git("rev-parse", "--verify", "--short", f"{options.revision}^{{commit}}")
    except subprocess.CalledProcessError:
        options_parser.error(f"{options.revision}: no such revision")
    options.revision = commit.stdout.decode().strip()
    options.sizes = options.sizes or (["digits"] if options.quick else list(SIZES))
    if options.quick:
        options.rounds = min(options.rounds, 3)
    return options


def compare(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Both sides in turn, in `folder`."""
    sides = [
        Side(options.revision, folder / "revision", folder / "revision-runs"),
        Side("working tree", folder / "tree", folder / "tree-runs"),
    ]
    copy_revision(options.revision, sides[0].code)
    copy_working_tree(sides[1].code)
    write_images(folder / "images")
    wanted, settings = targets(options.only, options.sizes), configuration(options.sizes, options.threads)
    if wanted:
        for side in sides:
            side.prepare(wanted, settings, folder / "images", options.device)
    if "startup" in options.only:
        for side in sides:  # the first start compiles to bytecode
            measure_startup(side)

    rounds = []
    for k in range(options.rounds):
        print(f"round {k + 1} of {options.rounds}", file=sys.stderr)
        revision, tree = (measure(side, options.only, options.sizes) for side in sides)
        rounds.append((revision, tree))
    return table(rounds)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="against-") as folder:
        rows = compare(options, Path(folder))
    rows = [{"against": options.revision, **row} for row in rows]
    finish(rows, max(row["ratio"] for row in rows), "against", options)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # The temporary folder is removed then, too.
    main()
