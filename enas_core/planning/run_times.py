"""What `enas_core.plan --save` keeps of its calibration, and the workflow's rules ask a scheduler for.

The file is about a machine, not about an experiment: no rule declares it, and a job that it gives another run time is
not run again. An estimate holds for the settings that it was made with; with other ones it is not used.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from enas_core.console import UserError
from enas_core.files.atomic import write_text
from enas_core.files.reading import read_text
from enas_core.planning.costs import STAGE_OF
from enas_core.settings.experiment import Experiment
from enas_core.settings.stages import stage_settings, to_json

FILE = "_run_times.json"
"""Its name, in the folder of all results."""

SAFETY = 2.0
"""So many times the estimate is asked for: found arcs cost more than the measured random ones, and one machine is
not as fast as another."""
MARGIN = 10
"""And so many minutes more, for what does not depend on the size of the work."""


class RunTime(BaseModel):
    """The estimate of one rule's jobs."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    seconds: float
    conditions: str
    """What `conditions` says of the settings that it was made with."""
    device: str
    """Where it was measured."""

    def minutes(self) -> int:
        """To be asked for."""
        return math.ceil(SAFETY * self.seconds / 60) + MARGIN


def conditions(name: str, experiment: Experiment, rule: str) -> str:
    """A fingerprint of all that the run time of a rule's jobs depends on, the machine aside."""
    stages = [stage_settings(name, experiment, stage) for stage in ("prepare_data", STAGE_OF[rule])]
    scored = experiment.baseline.num_arcs + len(experiment.arcs) if rule == "score_arcs" else 0
    return hashlib.sha256(f"{[to_json(settings) for settings in stages]} {scored}".encode()).hexdigest()


RunTimes = Mapping[str, Mapping[str, RunTime]]
"""By experiment and rule."""
_FORM: TypeAdapter[dict[str, dict[str, RunTime]]] = TypeAdapter(dict[str, dict[str, RunTime]])


def read_run_times(path: Path) -> RunTimes:
    """Those of a file; none where there is no file. Raises UserError, one line, when it is not such a file."""
    try:
        return _FORM.validate_json(read_text(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):
        raise UserError(f"{path}: not what `python -m enas_core.plan --save` writes; remove it to go on") from None


def save_run_times(path: Path, new: RunTimes) -> None:
    """Add to a file, or replace what it says of the same rules of the same experiments."""
    known = read_run_times(path)
    content = {name: {**known.get(name, {}), **new.get(name, {})} for name in [*known, *new]}
    write_text(path, _FORM.dump_json(content, indent=1).decode() + "\n")
