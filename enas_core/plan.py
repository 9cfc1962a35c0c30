"""Command `plan`: the cost of a target before it is paid, in device-hours, memory and wall-clock time, and what its
comparison of found and random networks can show for that.

Reads config.yaml and what is left to do of it; prints a plan, and with `--save` leaves the run times of its jobs to the
workflow, which asks a scheduler for them. Snakemake's dry run says which jobs are left, a short
calibration what each costs, the spread of networks in `results` or a published one what can be shown.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from enas_core.console import UserError, log
from enas_core.options import DEFAULT_DEVICE, AfterDashes, Device, run_command
from enas_core.planning.calibrate import Cost, calibrate
from enas_core.planning.costs import STAGE_OF, job_seconds, typical
from enas_core.planning.images import images_of
from enas_core.planning.jobs import Job, dry_run, read_jobs
from enas_core.planning.printing import NOTES, describe_costs, describe_jobs, describe_wall_clock
from enas_core.planning.run_times import FILE, RunTime, RunTimes, conditions, save_run_times
from enas_core.settings.dataset import DatasetFacts
from enas_core.settings.experiment import Experiment
from enas_core.settings.networks import RESULTS
from enas_core.settings.variants import home_of
from enas_core.settings.workflow import Workflow, load_workflow

NOTHING = "nothing to do: all files are there and up to date"


def numbers(_: Any, tokens: Sequence[Token]) -> tuple[int, ...]:
    """The numbers of an option such as `1,2,4`."""
    text = tokens[0].value
    parts = text.split(",")
    if not all(re.fullmatch(r"[1-9]\d{0,5}", part) for part in parts):
        raise ValueError(f"{text[:80]!r}: allowed are numbers from 1 with commas between them")
    return tuple(int(part) for part in parts)


def plan(
    targets: Annotated[
        Sequence[str],
        Parameter(
            negative="", show_default=False, metavar="TARGET", help="as for snakemake (default: its default target)"
        ),
    ] = (),
    /,
    *,
    configfile: Annotated[Path, Parameter(help="file with the experiments")] = Path("config.yaml"),
    device: Device = DEFAULT_DEVICE,
    gpus: Annotated[
        tuple[int, ...],
        Parameter(
            converter=numbers,
            n_tokens=1,
            negative="",
            metavar="N,...",
            show_default="1,2,4,8",
            help="numbers of GPUs to plan for",
        ),
    ] = (1, 2, 4, 8),
    save: Annotated[
        bool,
        Parameter(negative="", help="keep the run times for the scheduler's jobs: measured on a machine like theirs"),
    ] = False,
    after_dashes: AfterDashes,
) -> None:
    """Estimate device-hours, memory and wall-clock time of the jobs that are left for some targets.

    What is left says Snakemake's dry run, what it costs a short calibration. What follows -- is given to Snakemake.
    Last comes which differences of found and random networks the numbers of them in config.yaml can show.

    Example: enas plan results/cifar10/comparison.parquet --gpus 1,4,8
    """
    workflow = load_workflow(configfile)
    jobs = read_jobs(dry_run(targets, configfile, after_dashes))
    if not jobs:
        all_jobs = read_jobs(dry_run(targets, configfile, ["--forceall", *after_dashes]))
        print("\n".join([NOTHING, *evidence(all_jobs, experiments_of(all_jobs, workflow, configfile))]))
        return
    experiments = experiments_of(jobs, workflow, configfile)
    stages = dict.fromkeys((job.experiment, STAGE_OF[job.rule]) for job in jobs if job.rule in STAGE_OF)
    # Variants of an experiment differ in what costs little, and there may be dozens: one measurement is for all.
    homes = dict.fromkeys((home_of(name), stage) for name, stage in stages)
    images = {home: images_of(home, workflow.settings_of(home), RESULTS) for home, _ in homes}
    measured_costs = {
        (home, stage): calibrate(home, workflow.settings_of(home), images[home], stage, device) for home, stage in homes
    }
    costs = {(name, stage): measured_costs[home_of(name), stage] for name, stage in stages}
    seconds = [
        job_seconds(
            job.rule,
            experiments[job.experiment],
            images[home_of(job.experiment)],
            typical(costs[job.experiment, STAGE_OF[job.rule]]),
        )
        if job.rule in STAGE_OF
        else 0.0
        for job in jobs
    ]
    if save:
        save_run_times(RESULTS / FILE, run_times(experiments, images, costs))
        log.info("written: %s", RESULTS / FILE)
    measured = [describe_costs(*key, value) for key, value in measured_costs.items()]
    table = describe_jobs(jobs, seconds, costs)
    wall_clock = describe_wall_clock(jobs, seconds, gpus)
    print("\n".join([*measured, "", *table, "", *wall_clock, "", NOTES, *evidence(jobs, experiments)]))


def run_times(
    experiments: Mapping[str, Experiment],
    images: Mapping[str, DatasetFacts],
    costs: Mapping[tuple[str, str], list[Cost]],
) -> RunTimes:
    """Of one job of each rule whose stage was measured, by experiment. `images` are given by the experiment that owns
    them."""
    found: dict[str, dict[str, RunTime]] = {}
    for (name, stage), measured in costs.items():
        cost = typical(measured)
        for rule in [rule for rule, its_stage in STAGE_OF.items() if its_stage == stage]:
            found.setdefault(name, {})[rule] = RunTime(
                seconds=job_seconds(rule, experiments[name], images[home_of(name)], cost),
                conditions=conditions(name, experiments[name], rule),
                device=cost.device,
            )
    return found


def evidence(jobs: Sequence[Job], experiments: Mapping[str, Experiment]) -> list[str]:
    """What the comparisons among the jobs can show, below an empty line and a title; nothing where there are none."""
    from enas_core.planning.evidence import describe_evidence

    compared = [job.experiment for job in jobs if job.rule == "compare"]
    lines = [describe_evidence(name, experiments[name], RESULTS) for name in compared]
    return ["", "What can be shown", *lines] if lines else []


def experiments_of(jobs: Sequence[Job], workflow: Workflow, configfile: Path) -> dict[str, Experiment]:
    """The settings of the experiments that have jobs. Raises UserError for one that is not in the file."""
    names = dict.fromkeys(job.experiment for job in jobs if job.experiment != "-")
    try:
        return {name: workflow.settings_of(name) for name in names}
    except UserError as error:
        raise UserError(f"{configfile}: {error}") from None


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(plan, arguments)


if __name__ == "__main__":
    sys.exit(main())
