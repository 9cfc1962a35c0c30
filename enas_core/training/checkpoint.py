"""Training state on disk: saved whole or not at all, verified when read, and never taken for another run's.

A state directory holds `current.state`, `previous.state` and `lock`. A state file is one line of JSON
(format, fingerprint, sha256 of the rest) followed by `torch.save` data.

What a state needs to be complete: weights, optimiser, policy, position, rows and the epoch's log. There is no random
generator in it because none outlives a step: every draw is keyed by seed, purpose, epoch and step
(`randomness.stream_seed`), the epoch's permutation included.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, TypeVar

import torch

from enas_core.console import UserError, log
from enas_core.files.atomic import atomic_path, discard_partial
from enas_core.files.inputs import Inputs
from enas_core.files.lock import take_lock
from enas_core.files.plain import load_plain
from enas_core.files.reading import read_bytes
from enas_core.files.tables import table_identity
from enas_core.training.processes import ALONE, Processes

STATE_FORMAT = 2


def run_fingerprint(*parts: str) -> str:
    """Identifies a run: the settings, data, arc and seed that its result depends on, and the format."""
    return hashlib.sha256(json.dumps([STATE_FORMAT, *parts]).encode()).hexdigest()


class StateError(ValueError):
    """A state file that cannot be used; the text says why."""


class StateDirectory:
    """The saved states of one run. Use as a context manager: it holds the directory's lock, which the
    system releases when the process dies. Raises UserError when another run has it. Of several `processes` of a run
    the first one locks and writes; all read."""

    def __init__(self, folder: Path, fingerprint: str, processes: Processes = ALONE) -> None:
        self.folder, self.fingerprint, self.processes = folder, fingerprint, processes
        self.current, self.previous = folder / "current.state", folder / "previous.state"

    def __enter__(self) -> StateDirectory:
        if self.processes.first:
            self._take_lock()
        return self

    def _take_lock(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self.folder / "lock", self.folder)
        discard_partial(self.current)

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.processes.first:
            self._lock.close()

    def load(self) -> tuple[dict[str, Any], bool] | None:
        """The newest usable state and whether its run had finished; None to start from the beginning. Logs
        what was found and why it is or is not used."""
        if self.processes.first:
            found = self._newest()
        self.processes.wait()  # the others read the state that the first one has found, and made the current one
        return found if self.processes.first else self._newest()

    def _newest(self) -> tuple[dict[str, Any], bool] | None:
        for path in (self.current, self.previous):
            try:
                state, finished = self._read(path)
            except FileNotFoundError:
                continue
            except StateError as error:
                log.info("state %s: not used: %s", path, error)
                continue
            log.info("state %s: used, of a run that %s", path, "had finished" if finished else "was interrupted")
            if path == self.previous:
                # It would be overwritten by the useless one at the next save.
                path.replace(self.current)
            return state, finished
        log.info("state %s: none to resume, starting from the beginning", self.folder)
        return None

    def _read(self, path: Path) -> tuple[dict[str, Any], bool]:
        try:
            header, _, payload = read_bytes(path).partition(b"\n")
        except UserError as error:
            raise StateError(str(error)) from None
        try:
            facts = json.loads(header)
            found, checksum = (facts["format"], facts["fingerprint"]), facts["sha256"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise StateError("not a state file, or a truncated or corrupt one") from None
        if found != (STATE_FORMAT, self.fingerprint):
            raise StateError("saved under other settings, data, arc, seed or state format")
        if hashlib.sha256(payload).hexdigest() != checksum:
            raise StateError("truncated or corrupt (its checksum does not match)")
        try:
            content = load_plain(payload)
            return content["run"], content["finished"]
        except Exception as error:  # with the right checksum, so not written by this program
            raise StateError(f"not readable: {' '.join(str(error).split())[:150]}") from None

    def save(self, state: dict[str, Any], finished: bool = False) -> None:
        """Make `state` the current one; the one before is kept until the next save is whole."""
        if not self.processes.first:
            return
        buffer = io.BytesIO()
        torch.save({"finished": finished, "run": state}, buffer)
        payload = buffer.getbuffer()
        checksum = hashlib.sha256(payload).hexdigest()
        facts = {"format": STATE_FORMAT, "fingerprint": self.fingerprint, "sha256": checksum}
        with atomic_path(self.current) as temporary:
            with temporary.open("wb") as file:
                file.write(json.dumps(facts, separators=(",", ":")).encode() + b"\n")
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            if self.current.exists():  # if the process is killed here, `previous` is the newest
                self.current.replace(self.previous)

    def give_up(self, error: Exception) -> None:
        """Remove the state that was loaded: with the right checksum it is not damaged, but not of such a run either."""
        log.info("state %s: not used: %s", self.current, " ".join(str(error).split())[:150])
        self.processes.wait()  # the others have read it as well
        if self.processes.first:
            self.current.unlink()

    def clear(self) -> None:
        """Remove the states, when the run's outputs are complete."""
        self.current.unlink(missing_ok=True)
        self.previous.unlink(missing_ok=True)


class Interrupted(SystemExit):
    """Raised after the state was saved on a signal; its code is 128 + the signal's number."""


class Saver:
    """Saves when it is time to, and on SIGTERM or SIGINT to any of the run's processes (then it raises Interrupted in
    all of them). Use as a context manager, which defers the two signals to the next `step` or `save`; call `step`
    after every step, in all processes alike."""

    def __init__(self, directory: StateDirectory, minutes: float, state: Callable[[], dict[str, Any]]) -> None:
        self.directory, self.seconds, self.state = directory, 60 * minutes, state
        self.signal = 0
        self.saved_at = time.monotonic()

    def __enter__(self) -> Saver:
        self._handlers = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number

    def step(self) -> None:
        """Save if it is due. Cheap otherwise."""
        self._save(time.monotonic() - self.saved_at >= self.seconds)

    def save(self) -> None:
        """Save now."""
        self._save(True)

    def _save(self, due: bool) -> None:
        number = self.directory.processes.largest(self.signal)
        if not (due or number):
            return
        self.directory.save(self.state())
        self.saved_at = time.monotonic()
        if self.directory.processes.count == 1:
            number = self.signal  # also one that came while saving; several processes agree on it at the next step
        if number:
            name = signal.Signals(number).name
            log.info("%s: state saved in %s; the same command resumes it", name, self.directory.folder)
            raise Interrupted(128 + number)


class Watch(Protocol):
    """What a training tells of its progress, and what may save its state then."""

    def step(self) -> None:
        """A step is done."""

    def save(self) -> None:
        """An epoch is done."""


class Resumable(Protocol):
    """A training run whose state can be saved at any step."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def train(self, watch: Watch) -> None: ...


R = TypeVar("R", bound=Resumable)


def resume(
    create: Callable[[], R],
    states: StateDirectory,
    save_every: float,
    inputs: Inputs,
    weights: Path,
    table: Path,
    emit: Callable[[R], None],
    train: Callable[[R, Watch], None] = lambda run, watch: run.train(watch),
) -> None:
    """Finish a run, from its saved state where there is one, and emit its outputs, `weights` and then `table`,
    which records the fingerprint of `states` as `run` in its provenance. `save_every`: minutes. `train` lets the run
    train, with the watch that saves its state.

    The state is kept, marked finished, until a later start finds the outputs complete: so a run that an
    orphaned process finished after its outputs were deleted is emitted again, not repeated. Of several processes of
    the run the first one emits. Raises RunError instead when one of `inputs` has changed since, and UserError when
    another run works with the same states."""
    with states:
        if states.processes.largest(states.processes.first and _is_complete(states, weights, table)):
            return
        run, finished = _begun(create, states)
        # While the saver is there, a signal interrupts neither a step nor the writing of the outputs at the end.
        with Saver(states, save_every, run.state_dict) as saver:
            if not finished:
                train(run, saver)
                states.save(run.state_dict(), finished=True)
            if states.processes.first:
                inputs.require_unchanged()
                table.unlink(missing_ok=True)  # or it would vouch for the new weights before they are complete
                emit(run)
                log.info("written: %s, %s", weights, table)


def _begun(create: Callable[[], R], states: StateDirectory) -> tuple[R, bool]:
    """A run at the newest state that it can go on from, and whether it had finished there."""
    while (found := states.load()) is not None:
        run = create()
        try:
            run.load_state_dict(found[0])
            return run, found[1]
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            states.give_up(error)
    return create(), False


def _is_complete(states: StateDirectory, weights: Path, table: Path) -> bool:
    """Whether nothing is left to do; if so the states are removed, else what is half-written of the outputs."""
    for output in (weights, table):
        discard_partial(output)
        if output.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(output))
    if weights.exists() and table_identity(table) == states.fingerprint:
        log.info("outputs are complete, nothing to do (delete %s and %s to start again)", weights, table)
        states.clear()
        return True
    return False
