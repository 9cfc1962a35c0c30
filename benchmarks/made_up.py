"""Made-up results of a large comparison, for `large.py`: valid files, and nothing was trained.

    python benchmarks/made_up.py FOLDER NETWORKS    FOLDER is an empty working folder

Ten searches and NETWORKS random arcs on the embedded digits, the networks as small as they can be. Tables and weights
are written by the project's own functions, and hold random values in place of measured ones. Images, settings and arcs
are real, and Snakemake takes all of it for its own work (`snakemake --touch`).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from enas_core.files.atomic import write_text
from enas_core.files.tables import provenance, read_table, write_table
from enas_core.settings.networks import NamedNetwork, networks_of
from enas_core.settings.stages import STAGES, fingerprint, plain, stage_settings, to_json
from enas_core.settings.workflow import load_workflow
from enas_core.spaces.measure import network_size
from enas_core.spaces.saved import save_network
from enas_core.spaces.space import NetworkShape

ROOT = Path(__file__).resolve().parents[1]
NAME = "large"
SEARCHES, CANDIDATES, EPOCHS = 10, 10, 10
IMAGES_AND_ARCS = [f"results/{NAME}/data/checked", f"results/{NAME}/random_arcs.parquet"]
SHAPE = NetworkShape(num_layers=1, num_filters=4, num_classes=10, in_channels=1, image_size=8, aux_head=False)
COMPARISON = f"results/{NAME}/comparison.parquet"
EVERY_EPOCH = {"learning_rate": 0.05, "train_accuracy": 0.5, "test_accuracy": 0.5}
EVERY_EPOCH |= {"images_per_second": 100.0, "seconds": 10.0}


TOUCH_AT_ONCE = """
from snakemake.cli import main
from snakemake.executors.touch import Executor

Executor.SLEEPING_TIME = 0
main()
"""
"""Snakemake, which otherwise sleeps for a tenth of a second before it touches a job's files."""


def config(networks: int) -> dict[str, Any]:
    """Content of config.yaml."""
    size = {"num_layers": 1, "num_filters": 4, "batch_size": 32, "aux_head": False, "num_epochs": EPOCHS}
    settings = {
        "num_nodes": 2,
        "cpu_threads": 1,
        "dataset": {"name": "digits", "source": "digits", "split_test_images": 60, "max_train_images": 200},
        "search": {**size, "valid_images": 60, "seeds": list(range(1, SEARCHES + 1))},
        "select": {"num_candidates": CANDIDATES},
        "augment": size,
        "baseline": {"num_arcs": networks},
    }
    return {"experiments": {NAME: settings}}


def snakemake(folder: Path, *arguments: str) -> list[str]:
    """The command that runs the workflow in a folder with a config.yaml."""
    command = ["-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return [*command, "--configfile", str(folder / "config.yaml"), *arguments]


class Results:
    """The files of one experiment. A network's made-up quality shows in all of its accuracies, with noise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "results" / NAME
        self.experiment = load_workflow(folder / "config.yaml").experiments[NAME]
        self.space = self.experiment.search_space
        self.draw = random.Random(0)
        self.settings = {stage: stage_settings(NAME, self.experiment, stage) for stage in STAGES if stage != "ablation"}
        self.made_by = {
            stage: provenance("cpu", fingerprint(settings), plain(settings))
            for stage, settings in self.settings.items()
        }

    def write(self) -> None:
        """All of them but images, and the table of random arcs, which is there."""
        for stage, settings in self.settings.items():
            write_text(self.folder / f"config/{stage}.json", to_json(settings))
        random_arcs = [row["arc"] for row in read_table(self.folder / "random_arcs.parquet", "random_arcs")]
        quality = {arc: self.draw.gauss(0.6, 0.05) for arc in random_arcs}
        found = {}
        for seed in self.experiment.search.seeds:
            own = [str(arc) for arc in self.space.baseline("uniform", 10**6 * seed, CANDIDATES)]
            quality |= {arc: self.draw.gauss(0.65, 0.05) for arc in own}
            found[seed] = own[0]
            self.write_search(seed, own, random_arcs, quality)
        for network in networks_of(self.experiment):
            if network.search_seed is not None:
                arc = found[network.search_seed]
            else:
                arc = random_arcs[int(network.name.removeprefix("random-"))]
            write_text(self.folder / f"arcs/{network.name}.txt", f"{arc}\n")
            self.write_training(network, arc, quality[arc])

    def about(self, accuracy: float) -> float:
        """A measurement of it."""
        return min(1.0, max(0.0, self.draw.gauss(accuracy, 0.03)))

    def write_search(self, seed: int, own: list[str], random_arcs: list[str], quality: dict[str, float]) -> None:
        """One search, its candidates and their check."""
        folder = self.folder / f"search/s{seed}"
        identity = {"experiment": NAME, "dataset": "digits", "seed": seed}
        epochs = [
            identity | EVERY_EPOCH | {"epoch": epoch, "train_loss": 2.0 / (1 + epoch), "valid_accuracy": 0.5}
            for epoch in range(EPOCHS)
        ]
        write_table(folder / "epochs.parquet", "search_epochs", epochs, self.made_by["search"])
        policy = [self.candidate(arc, quality, source="policy", policy="controller") for arc in own]
        policy[0]["selected"] = True
        others = [self.candidate(arc, quality, source="random", policy=None) for arc in random_arcs]
        made_by = self.made_by["select_arc"]
        write_table(folder / "own/candidates.parquet", "candidates", policy, made_by)
        write_table(folder / "candidates.parquet", "candidates", policy + others, made_by)
        check = {"verdict": "order repeats", "num_candidates": CANDIDATES, "num_images": 60, "chance": 0.1}
        check |= {"candidates_low": 0.6, "candidates_mean": 0.65, "candidates_high": 0.7, "reliability": 0.8}
        check |= {"num_above_chance": CANDIDATES, "odds_ratio": 17.0, "remark": ""}
        write_table(folder / "signal.parquet", "signal", [identity | check], made_by)
        write_text(folder / "supernet.pt", "nothing reads it")

    def candidate(self, arc: str, quality: dict[str, float], **origin: str | None) -> dict[str, Any]:
        """A row of a table of candidates."""
        row = {"space": "micro", "arc": arc, "params": 1000, "macs": 10_000, "selected": False}
        return origin | row | {"valid_accuracy": self.about(quality[arc])}

    def write_training(self, network: NamedNetwork, arc: str, quality: float) -> None:
        """One training."""
        folder = self.folder / f"networks/{network.name}/seed1"
        identity = {"experiment": NAME, "dataset": "digits", "network": network.name, "space": "micro", "arc": arc}
        epochs = [
            identity
            | EVERY_EPOCH
            | {"seed": 1, "epoch": epoch, "drop_path_keep_prob": 1.0, "train_loss": 2.0 / (1 + epoch)}
            | {"test_loss": 2.0 / (1 + epoch), "test_accuracy": self.about(quality)}
            for epoch in range(EPOCHS)
        ]
        built = self.space.network(self.space.parse(arc), SHAPE)
        size = network_size(built)
        made_by = self.made_by["augment"] | {"role": network.role, "search_seed": network.search_seed}
        made_by |= {"params": size.params, "macs": size.macs}
        write_table(folder / "epochs.parquet", "augment_epochs", epochs, made_by)
        facts: dict[str, Any] = {
            "experiment": NAME,
            "dataset": "digits",
            "classes": list("0123456789"),
            "mean": [0.5],
            "std": [0.5],
        }
        facts |= {"test_accuracy": epochs[-1]["test_accuracy"], "provenance": made_by}
        save_network(folder / "model.pt", built, facts)


def make(folder: Path, networks: int) -> None:
    """Everything that comes before the comparison."""
    torch.set_num_threads(1)
    # What is made up need not survive a power failure.
    os.fsync = lambda descriptor: None  # type: ignore[assignment]
    (folder / "config.yaml").write_text(yaml.safe_dump(config(networks)))
    run = [sys.executable, *snakemake(folder, "--cores", "2", "--quiet", "all")]
    subprocess.run([*run, "--", *IMAGES_AND_ARCS], check=True)
    Results(folder).write()
    # With so many cores that Snakemake's scheduler is asked a few times, not once for every second job.
    touch = ["--touch", "--forceall", "--omit-from", "compare", "--scheduler", "greedy", "--cores", str(10 * networks)]
    _, _, *arguments = snakemake(folder, "--quiet", "all", *touch, "--", COMPARISON)
    subprocess.run([sys.executable, "-c", TOUCH_AT_ONCE, *arguments], check=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
