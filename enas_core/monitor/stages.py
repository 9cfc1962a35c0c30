"""What each stage of an experiment has done so far: its images, searches, choices of arcs, trainings of networks."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from enas_core.console import UserError
from enas_core.files.progress import PROGRESS, Progress, read_progress
from enas_core.files.reading import read_text
from enas_core.files.tables import FOR_THE_RECORD, read_table
from enas_core.settings.experiment import Experiment
from enas_core.settings.networks import networks_of, searched_network, strategy_network, trainer_of
from enas_core.settings.select import StrategyName
from enas_core.settings.variants import home_of

Rule = Literal["prepare_data", "search", "select_arc", "try_strategy", "score_arcs", "augment"]
"""The rules whose jobs may take longer than seconds, in the order in which they are shown."""

RULES: tuple[Rule, ...] = get_args(Rule)

STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)

State = Literal["running", "silent", "failed", "interrupted", "finished", "waiting"]
"""`silent`: it was running, and has said nothing for longer than `SILENCE`: killed, or busy with one long step."""

SILENCE = 120.0
"""Seconds. A training gives a sign of life every 15 seconds, but not while it is compiled or takes one long step."""

RECENT = 5
"""Epochs whose mean is the pace of a training."""


@dataclass(frozen=True)
class Stage:
    """One job that takes its time, as far as its files tell. Accuracies are fractions, times seconds."""

    rule: Rule
    name: str = ""
    """As its files are called; empty for the images, of which there are one set."""
    seed: int | None = None
    """Of the search or training, or of the search after which an arc is chosen."""
    network: str = ""
    """That is trained, or the one of the arc that is chosen; empty for other stages."""
    state: State = "waiting"
    accuracies: Sequence[float] = ()
    """Of each complete epoch: of proposed arcs on the validation images (search), of the network on the test images
    (augment). Of a choice the best one so far."""
    done: int = 0
    """Epochs that a training has completed; arcs that a choice has scored."""
    planned: int | None = None
    """Epochs that it trains; arcs that it scores."""
    chance: float | None = None
    """Accuracy of always answering the commonest class of these images."""
    spent: float = 0.0
    """That it has computed so far."""
    begun: float = 0.0
    """Of these, those of the epoch under way."""
    pace: float | None = None
    """Seconds of one of its epochs, or of one arc."""
    memory: float | None = None
    """Bytes at most."""
    age: float | None = None
    """Since its last sign of life; None once it is finished, or before it has given one."""
    where: str = ""
    """Machine and device."""

    @property
    def own_left(self) -> float | None:
        """Seconds that the rest takes at its own pace; None where it has none."""
        if self.state == "finished":
            return 0.0
        if self.pace is None or self.planned is None:
            return None
        return max(0.0, self.pace * (self.planned - self.done) - self.begun)


@dataclass(frozen=True)
class Overview:
    """An experiment."""

    name: str
    stages: Sequence[Stage]
    outputs: Sequence[str] = field(default=())
    """Which of its results are there."""

    @property
    def seeds(self) -> list[int]:
        """Of its searches."""
        return [stage.seed for stage in self.stages if stage.rule == "search" and stage.seed is not None]

    def count(self, *states: State) -> int:
        """Stages that are in one of these states."""
        return sum(stage.state in states for stage in self.stages)


def read_experiment(folder: Path, name: str, experiment: Experiment | None, now: float) -> Overview:
    """What the files in an experiment's folder tell. `experiment`: its settings, which say what is still to come; where
    they are not known, only what has begun is told. `now`: seconds since 1970."""
    files = _Files(folder, folder.parents[1] if home_of(name) != name else folder, experiment, now)
    seeds = dict.fromkeys(experiment.search.seeds if experiment is not None else ())
    seeds |= dict.fromkeys(seed for _, seed in _numbered(folder, "search/s*", "_state/search/s*"))
    trainings = dict.fromkeys(_expected_trainings(name, experiment))
    for path, seed in _numbered(folder, "networks/*/seed*", "_state/augment/*/seed*"):
        trainings[path.parent.name, seed] = None
    stages = [files.prepare_data()] if home_of(name) == name else []
    stages += [files.search(seed) for seed in seeds]
    stages += [files.select_arc(seed) for seed in seeds]
    stages += [files.try_strategy(*choice) for choice in _choices(folder, name, experiment)]
    stages += [files.score_arcs(seed) for seed in seeds]
    stages += [files.augment(network, seed) for network, seed in trainings]
    outputs = [file for file in ("final.pt", "comparison.parquet", "ablation.parquet") if (folder / file).exists()]
    return Overview(name, stages, outputs)


def _expected_trainings(name: str, experiment: Experiment | None) -> Iterator[tuple[str, int]]:
    """Network and seed of what the experiment trains; a variant is searched only."""
    if experiment is None or home_of(name) != name:
        return
    for network in networks_of(experiment):
        if trainer_of(network, name, experiment) == name:
            for seed in experiment.augment.seeds:
                yield network.name, seed


def _choices(folder: Path, name: str, experiment: Experiment | None) -> list[tuple[StrategyName, int]]:
    """Strategy and seed of the choices for the record: those that the settings name, and those that have begun."""
    found: dict[tuple[StrategyName, int], None] = {}
    if experiment is not None and home_of(name) == name:
        found |= dict.fromkeys(itertools.product(experiment.select.compare, experiment.search.seeds))
    for strategy in STRATEGIES:
        for path, seed in _numbered(folder, "search/s*", f"_state/strategies/{strategy}/s*"):
            if path.parent.name == strategy or (path / "strategies" / strategy).is_dir():
                found[strategy, seed] = None
    return list(found)


def _numbered(folder: Path, *patterns: str) -> Iterator[tuple[Path, int]]:
    """Folders whose names end with a seed, and the seed."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if found := re.fullmatch(r"s(?:eed)?([0-9]{1,19})", path.name):
                yield path, int(found[1])


@dataclass(frozen=True)
class _Files:
    """The files of one experiment; `home`: the folder of the experiment that its images are in."""

    folder: Path
    home: Path
    experiment: Experiment | None
    now: float

    def prepare_data(self) -> Stage:
        """Reading the images. It says nothing but its log while it works."""
        stage = Stage("prepare_data")
        written = self._age(self.folder / "data/manifest.json")
        return self._by_log(stage, "prepare_data", written is not None, True)

    def search(self, seed: int) -> Stage:
        """The search with this seed."""
        held_out = self.experiment.search.valid_images if self.experiment is not None else None
        held_out = held_out or self._setting("search", "valid_images")
        stage = Stage(
            "search",
            f"s{seed}",
            seed,
            planned=self._epochs("search"),
            chance=_chance(self.home / "data/train_labels.npy", held_out) if held_out else None,
        )
        table = self.folder / f"search/s{seed}/epochs.parquet"
        return self._training(stage, table, "search_epochs", "valid_accuracy", f"search/s{seed}", f"search-s{seed}")

    def augment(self, network: str, seed: int) -> Stage:
        """The training of a network with this seed."""
        place = f"{network}/seed{seed}"
        stage = Stage(
            "augment",
            f"{network} seed {seed}",
            seed,
            network,
            planned=self._epochs("augment"),
            chance=_chance(self.home / "data/test_labels.npy", None),
        )
        table = self.folder / "networks" / place / "epochs.parquet"
        job = f"augment-{network}-seed{seed}"
        return self._training(stage, table, "augment_epochs", "test_accuracy", f"augment/{place}", job)

    def select_arc(self, seed: int) -> Stage:
        """The choice of an arc after the search with this seed."""
        network = searched_network(seed).name
        return self._choice("select_arc", f"s{seed}", seed, network, "own", f"select_arc/s{seed}")

    def try_strategy(self, strategy: StrategyName, seed: int) -> Stage:
        """The choice of another arc after the same search, for the record."""
        name = strategy_network(strategy, seed).name
        state = f"strategies/{strategy}/s{seed}"
        return self._choice("try_strategy", name, seed, name, f"strategies/{strategy}", state)

    def _choice(self, rule: Rule, name: str, seed: int, network: str, place: str, state: str) -> Stage:
        """By its table, else its last sign of life, else its log, which is all that earlier versions write."""
        stage = Stage(rule, name, seed, network, planned=self._arcs(), chance=self.search(seed).chance)
        job = f"{rule}-{name}"
        path = self.folder / "_state" / state / PROGRESS
        told, age = read_progress(path), self._age(path)
        rows = _rows(self.folder / f"search/s{seed}" / place / "candidates.parquet", "candidates")
        selected = [row["valid_accuracy"] for row in rows if row["selected"]]
        if selected:
            seconds, memory = self._benchmark(job)
            memory = told.memory if told is not None and told.memory is not None else memory
            scored = sum(row["source"] not in FOR_THE_RECORD for row in rows)
            spent = seconds or (told.seconds if told is not None else 0.0)
            done = replace(stage, state="finished", accuracies=selected, done=scored, planned=scored, spent=spent)
            return replace(done, memory=memory, where=_where(told))
        if told is None or told.state == "finished":
            return self._by_log(stage, job, False, self._age(self.folder / f"search/s{seed}/supernet.pt") is not None)
        return replace(
            stage,
            state=_state(told, age),
            accuracies=[] if told.best is None else [told.best],
            done=told.step,
            planned=told.steps,
            spent=told.seconds,
            pace=told.seconds / told.step if told.step else None,
            memory=told.memory,
            age=age,
            where=_where(told),
        )

    def score_arcs(self, seed: int) -> Stage:
        """Scoring random and named arcs with the weights of the search with this seed."""
        stage = Stage("score_arcs", f"s{seed}", seed)
        written = self._age(self.folder / f"search/s{seed}/candidates.parquet")
        chosen = self._age(self.folder / f"search/s{seed}/own/candidates.parquet")
        return self._by_log(stage, f"score_arcs-s{seed}", written is not None, chosen is not None)

    def _by_log(self, stage: Stage, job: str, written: bool, ready: bool) -> Stage:
        """`stage`, of which there is no sign of life: what it writes, and the age of its log if what it needs is
        `ready`, as it is not where the log is an earlier try's."""
        if written:
            seconds, memory = self._benchmark(job)
            return replace(stage, state="finished", spent=seconds or 0.0, memory=memory)
        age = self._age(self.folder / f"logs/{job}.log")
        if age is None or not ready:
            return stage
        return replace(stage, state="running" if age < SILENCE else "silent", age=age)

    def _training(self, stage: Stage, table: Path, kind: str, score: str, state: str, job: str) -> Stage:
        """`stage` with what its table says, or else its last sign of life."""
        path = self.folder / "_state" / state / PROGRESS
        told, age, written = read_progress(path), self._age(path), self._age(table)
        _, memory = self._benchmark(job)
        where = _where(told)
        begun_again = told is not None and told.state == "running" and written is not None and (age or 0.0) < written
        rows = _rows(table, kind) if written is not None and not begun_again else []
        if rows:
            spent = sum(row["seconds"] for row in rows)
            memory = told.memory if told is not None and told.memory is not None else memory
            accuracies = [row[score] for row in rows]
            done = replace(stage, state="finished", accuracies=accuracies, done=len(rows), planned=len(rows))
            return replace(done, spent=spent, pace=spent / len(rows), memory=memory, where=where)
        if told is None or told.state == "finished":
            return stage
        complete = sum(row.seconds for row in told.rows)
        recent = [row.seconds for row in told.rows[-RECENT:]]
        pace = sum(recent) / len(recent) if recent else _pace(told.seconds, told.step, told.steps)
        return replace(
            stage,
            state=_state(told, age),
            accuracies=[row.accuracy for row in told.rows],
            done=len(told.rows),
            planned=told.epochs,
            spent=complete + told.seconds,
            begun=told.seconds,
            pace=pace,
            memory=told.memory,
            age=age,
            where=where,
        )

    def _epochs(self, section: Literal["search", "augment"]) -> int | None:
        """That a training has."""
        if self.experiment is not None:
            training = self.experiment.search if section == "search" else self.experiment.augment
            return training.num_epochs
        return self._setting(section, "num_epochs")

    def _arcs(self) -> int | None:
        """That a choice scores."""
        if self.experiment is not None:
            return self.experiment.select.num_candidates
        return self._setting("select", "num_candidates", stage="select_arc")

    def _setting(self, section: str, key: str, stage: str | None = None) -> int | None:
        """A setting of a stage, which is called as its section unless told otherwise, from the file that the workflow
        has written."""
        try:
            value = json.loads(read_text(self.folder / f"config/{stage or section}.json"))[section][key]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return value if isinstance(value, int) else None

    def _age(self, path: Path) -> float | None:
        """Seconds since a file was written; None where there is none. Machines' clocks may differ by seconds."""
        try:
            return max(0.0, self.now - path.stat().st_mtime)
        except OSError:
            return None

    def _benchmark(self, job: str) -> tuple[float | None, float | None]:
        """Seconds and most bytes of a finished job, as Snakemake has measured them."""
        try:
            names, values = read_text(self.folder / f"benchmarks/{job}.tsv").splitlines()[:2]
            measured = dict(zip(names.split("\t"), values.split("\t"), strict=True))
            return float(measured["s"]), float(measured["max_rss"]) * 2**20
        except (OSError, ValueError, KeyError):
            return None, None


def _where(told: Progress | None) -> str:
    """Machine and device."""
    return f"{told.host}, {told.device}" if told is not None else ""


def _state(told: Progress, age: float | None) -> State:
    """Of a stage that has told of itself so many seconds ago."""
    silent = told.state == "running" and age is not None and age >= SILENCE
    return "silent" if silent else told.state


def _pace(seconds: float, step: int, steps: int) -> float | None:
    """Of the first epoch, of which so many steps are done."""
    return seconds * steps / step if step else None


def _rows(path: Path, kind: str) -> list[dict[str, Any]]:
    """Rows of a table; none where it is not there, or not such a table."""
    try:
        return _rows_of(path, kind, path.stat().st_mtime_ns)
    except (OSError, UserError):
        return []


@functools.lru_cache(maxsize=10_000)
def _rows_of(path: Path, kind: str, stamp: int) -> list[dict[str, Any]]:
    """Read once, as long as the file has this time stamp."""
    return read_table(path, kind, required=("selected", "source") if kind == "candidates" else ("epoch", "seconds"))


def _chance(path: Path, last: int | None) -> float | None:
    """Accuracy of always answering the commonest class of the last so many labels in a file, or of all."""
    try:
        return _chance_of(path, last, path.stat().st_mtime_ns)
    except (OSError, ValueError, EOFError):
        return None


@functools.lru_cache(maxsize=1_000)
def _chance_of(path: Path, last: int | None, stamp: int) -> float:
    import numpy as np

    from enas_core.analysis.signal import chance_level

    labels = np.load(path, allow_pickle=False)
    return chance_level(labels[-last:] if last is not None else labels)
