"""The choice of an arc after a search, which goes on where it was interrupted: what `enas_core.select_arc` does.

A strategy proposes arcs, a scorer scores them on the validation images with the shared weights. What has been scored is
all the state there is: the strategy runs again from its start, and what it proposes again is looked up.
"""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from enas_core.analysis.signal import sentence
from enas_core.console import UserError, log, progress
from enas_core.data.fit import limits_for
from enas_core.files.atomic import write_text
from enas_core.files.inputs import Inputs
from enas_core.files.progress import Progress
from enas_core.files.reading import read_bytes
from enas_core.files.tables import provenance, write_table
from enas_core.policies import strategy_function
from enas_core.policies.policy import Policy
from enas_core.policies.strategy import Task, distinct
from enas_core.settings.select import StrategyName
from enas_core.settings.stages import fingerprint, plain, to_json
from enas_core.spaces.limits import MAX_REFUSED, ArcLimits
from enas_core.spaces.space import Arc
from enas_core.training.checkpoint import StateDirectory, Watch, resume, run_fingerprint
from enas_core.training.device import describe_device
from enas_core.training.images import load_images
from enas_core.training.progress import SignsOfLife, State, memory_of
from enas_core.training.randomness import stream_seed
from enas_core.training.scoring import (
    Row,
    Scorer,
    SelectionStage,
    check_signal,
    load_searched,
    mark_front,
    mark_selected,
)


@dataclass(frozen=True)
class Files:
    """Where a selection keeps its state and writes its results."""

    out_dir: Path
    """For candidates.parquet."""
    arc: Path | None
    """For the selected arc."""
    signal: Path | None
    """For the signal check."""
    state_dir: Path | None
    """None: what is interrupted begins again."""
    save_every: float
    """Minutes between two saves of the state."""
    inputs: Inputs
    """Files that must be the same ones at the end."""

    @property
    def candidates(self) -> Path:
        """The table."""
        return self.out_dir / "candidates.parquet"


class Selection:
    """Evaluations of one strategy over one supernet."""

    def __init__(
        self,
        settings: SelectionStage,
        strategy: StrategyName,
        scorer: Scorer,
        policy: Policy,
        seed: int,
        limits: ArcLimits | None,
    ) -> None:
        self.settings, self.strategy, self.scorer, self.seed, self.limits = settings, strategy, scorer, seed, limits
        self.task = Task(settings.search_space, policy, settings.select, partial(stream_seed, seed))
        self.arcs: list[Arc] = []
        """In the order of their evaluations."""
        self.seconds = 0.0
        """What they have taken so far, interruptions aside."""

    def train(self, watch: Watch) -> None:
        """Evaluate as many arcs as the settings say, fewer where there are no more. Raises UserError, one line, where
        the limits leave none."""
        count = self.settings.select.num_candidates
        proposals = strategy_function(self.strategy)(self.task)
        allowed = (lambda arc: True) if self.limits is None else self.limits.allow
        self.arcs = []
        found = distinct(proposals, count, allowed, self.scorer.known_accuracy, MAX_REFUSED)
        before = time.perf_counter()
        for arc in progress(found, f"{self.strategy} candidates", count):
            self.arcs.append(arc)
            now = time.perf_counter()
            self.seconds += now - before
            before = now
            watch.step()
        if len(self.arcs) < count:
            self._say_how_few(count)

    def _say_how_few(self, count: int) -> None:
        few, what = len(self.arcs), "policy" if self.strategy == "policy" else f"strategy {self.strategy}"
        if self.limits is not None and few == 0:
            raise UserError(f"{self.limits.how_few()}; the {what} proposes no such arc")
        log.info("the %s proposes no more than %d distinct arcs (%d were asked for)", what, few, count)
        if self.limits is not None:
            log.info("%s", self.limits.how_few())

    def rows(self) -> list[Row]:
        """Of candidates.parquet, without the marks."""
        if self.strategy == "policy":
            return self.scorer.rows("policy", self.arcs, self.settings.search.policy)
        return self.scorer.rows("strategy", self.arcs, self.strategy)

    def checked(self) -> Row:
        """The row of signal.parquet."""
        return check_signal(self.settings, self.scorer, self.arcs, self.seed) | {"seconds": self.seconds}

    def progress(self, state: State) -> Progress:
        """How far it has come."""
        return Progress(
            state=state,
            epochs=1,
            rows=[],
            step=len(self.arcs),
            steps=self.settings.select.num_candidates,
            seconds=self.seconds,
            memory=memory_of(self.scorer.device),
            device=describe_device(self.scorer.device),
            host=socket.gethostname(),
            best=max((self.scorer.known_accuracy(arc) for arc in self.arcs), default=None),
        )

    def state_dict(self) -> dict[str, Any]:
        """The answers to all validation images of each arc that has been scored, [A, N]."""
        answers = self.scorer.answers
        images = len(self.scorer.valid)
        stacked = np.stack(list(answers.values())) if answers else np.zeros((0, images), bool)
        return {
            "arcs": [str(arc) for arc in self.arcs],
            "scored": [str(arc) for arc in answers],
            "answers": torch.from_numpy(stacked),
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        space = self.settings.search_space
        self.seconds = state["seconds"]
        self.arcs = [space.parse(text) for text in state["arcs"]]
        for text, answers in zip(state["scored"], state["answers"].numpy(), strict=True):
            self.scorer.answers[space.parse(text)] = answers


class Unwatched:
    """Nobody saves the state."""

    def step(self) -> None:
        """An arc is scored."""

    def save(self) -> None:
        """All are scored."""


def run_selection(
    settings: SelectionStage,
    strategy: StrategyName,
    data_folder: Path,
    supernet_file: Path,
    seed: int,
    given: Mapping[str, Sequence[Arc]],
    device: torch.device,
    data_on_device: str,
    files: Files,
) -> None:
    """Let a strategy choose an arc, from what is left of it to the files. Arcs that are `given` by source are scored
    for the record."""
    data = load_images(settings, data_folder, device, data_on_device)
    supernet, policy = load_searched(settings, data, supernet_file)
    scorer = Scorer(settings, data, supernet, device)
    limits = limits_for(settings, data.manifest)
    identity = run_fingerprint(
        *("select_arc", to_json(settings), strategy, data.manifest.fingerprint, str(seed), supernet.operators),
        hashlib.sha256(read_bytes(supernet_file)).hexdigest(),
        *(f"{source} {arc}" for source, arcs in given.items() for arc in arcs),
    )
    made_by = provenance(describe_device(device), fingerprint(settings), plain(settings)) | {"run": identity}

    def create() -> Selection:
        return Selection(settings, strategy, scorer, policy, seed, limits)

    def emit(selection: Selection) -> None:
        candidates, checked = selection.rows(), selection.checked()
        for source, arcs in given.items():
            candidates += scorer.rows(source, arcs)
        best = marked(candidates, settings)
        files.inputs.require_unchanged()
        if files.arc is not None:
            files.arc.unlink(missing_ok=True)  # or that of another selection would pass for this one's
        write_table(files.candidates, "candidates", candidates, made_by)
        if files.signal is not None:
            write_table(files.signal, "signal", [checked], made_by)
        if files.arc is not None:
            write_text(files.arc, best["arc"] + "\n")
        log.info("search seed %d: %s", seed, sentence(checked["verdict"], checked))

    if files.state_dir is None:
        selection = create()
        selection.train(Unwatched())
        emit(selection)
        return
    states = StateDirectory(files.state_dir, identity)

    def train(selection: Selection, watch: Watch) -> None:
        with SignsOfLife(states, selection.progress, watch) as signs:
            selection.train(signs)

    weights = files.arc or files.candidates
    resume(create, states, files.save_every, files.inputs, weights, files.candidates, emit, train)


def score_for_the_record(
    settings: SelectionStage,
    data_folder: Path,
    supernet_file: Path,
    own: list[Row],
    given: Mapping[str, Sequence[Arc]],
    device: torch.device,
    data_on_device: str,
    files: Files,
) -> None:
    """Write the table of candidates that have been chosen among before, with the `given` ones added."""
    data = load_images(settings, data_folder, device, data_on_device)
    supernet, _ = load_searched(settings, data, supernet_file)
    scorer = Scorer(settings, data, supernet, device)
    candidates = list(own)
    for source, arcs in given.items():
        candidates += scorer.rows(source, arcs)
    best = marked(candidates, settings)
    files.inputs.require_unchanged()
    write_table(
        files.candidates,
        "candidates",
        candidates,
        provenance(describe_device(device), fingerprint(settings), plain(settings)),
    )
    if files.arc is not None:
        write_text(files.arc, best["arc"] + "\n")


def marked(candidates: list[Row], settings: SelectionStage) -> Row:
    """Mark the selected candidate, and return it, and those on the front."""
    best = mark_selected(candidates, settings.search_space)
    mark_front(candidates)
    log.info("selected %s  shared accuracy %.4f", best["arc"], best["valid_accuracy"])
    return best
