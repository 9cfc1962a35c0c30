"""The checklist of best practices for NAS (Lindauer and Hutter 2020, "Best Practices for Scientific Research on Neural
Architecture Search", JMLR 21): its 14 points, filled in as far as a run knows, with what a person must declare open."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from enas_core.analysis.statistics import MIN_SEARCHED
from enas_core.pages.finished import Finished
from enas_core.pages.numbers import duration, percent

State = Literal["kept", "open", "not kept"]


class Point(NamedTuple):
    """One of the practices."""

    practice: str
    known: str
    """What the run says of it."""
    declare: str = ""
    """What only a person can say."""
    kept: bool = True
    """Whether the run does what a run can do."""

    @property
    def state(self) -> State:
        """`open`: as far as the run goes it is kept, and a person must say the rest."""
        if not self.kept:
            return "not kept"
        return "open" if self.declare else "kept"


def checklist(experiment: Finished) -> dict[str, Any]:
    """The points in the order of the paper."""
    points = [
        _training_pipeline(experiment),
        _method(experiment),
        _as_it_was_run(experiment),
        _same_benchmark(experiment),
        _ablation(experiment),
        _same_protocol(experiment),
        _over_time(experiment),
        _random(experiment),
        _several_runs(experiment),
        _benchmarks(experiment),
        _confounders(experiment),
        _tuning(experiment),
        _time(experiment),
        _setup(experiment),
    ]
    counts = {state: sum(point.state == state for point in points) for state in ("kept", "open", "not kept")}
    return {"points": points, "counts": counts}


# --- releasing code


def _code(experiment: Finished) -> str:
    made_by = experiment.provenance
    if not made_by:
        return "the tables do not say which version made them"
    return f"enas-workflow {made_by['enas_version']}, commit {made_by['git_commit']}"


def _training_pipeline(experiment: Finished) -> Point:
    seeds = experiment.seeds_of("searched")
    known = f"Every network is trained by {_code(experiment)}; hyper-parameters stand under Settings"
    return Point(
        "Release code for the training pipeline(s) you use",
        f"{known}, seeds of training: {_listed(seeds)}.",
        "Where readers get this code, and the images if they are your own.",
        kept=bool(experiment.provenance),
    )


def _method(experiment: Finished) -> Point:
    policy = experiment.setting("search.policy")
    method = "The search" if policy is None else f"The search (policy {policy})"
    return Point(
        "Release code for your NAS method",
        f"{method} is part of the same code; seeds of search: {_listed(experiment.search_seeds)}.",
        "Where readers get this code.",
        kept=bool(experiment.provenance),
    )


def _as_it_was_run(experiment: Finished) -> Point:
    practice = "Don't wait until you have cleaned up the code"
    commit = str(experiment.provenance.get("git_commit", "unknown"))
    if commit == "unknown":
        return Point(practice, "The commit was not recorded: the code did not run from a git checkout.", kept=False)
    if commit.endswith("-dirty"):
        return Point(practice, "The code had changes that no commit holds when these tables were made.", kept=False)
    return Point(practice, f"The tables name the commit that made them, {commit[:12]}, without further changes.")


# --- comparing


def _same_benchmark(experiment: Finished) -> Point:
    datasets = {row["dataset"] for row in experiment.metrics}
    spaces = {row["space"] for row in experiment.metrics}
    return Point(
        "Use the same NAS benchmarks, not just the same datasets",
        f"All networks of this page share data ({_listed(datasets)}), split, search space ({_listed(spaces)}) and"
        " training pipeline.",
        "Whether these agree with those of the papers that you compare with; accuracies of other pipelines say little.",
        kept=len(datasets) == len(spaces) == 1,
    )


def _ablation(experiment: Finished) -> Point:
    practice = "Run ablation studies"
    if (experiment.folder / "ablation.parquet").exists():
        return Point(practice, "Each setting of the search is changed alone: see the figure above.")
    return Point(
        practice,
        f"None was run. `ablation: {{seeds: [1, 2, 3]}}` in config.yaml, then"
        f" `snakemake {experiment.folder}/ablation.parquet`.",
        kept=False,
    )


def _same_protocol(experiment: Finished) -> Point:
    epochs = {row["epochs"] for row in experiment.metrics if row["epochs"] is not None}
    many = "epoch" if epochs == {1} else "epochs"
    return Point(
        "Use the same evaluation protocol for the methods being compared",
        f"Found, random and named networks are trained alike, for {_listed(epochs)} {many}; test accuracy is the last"
        " epoch's and chooses nothing.",
        kept=len(epochs) <= 1,
    )


def _over_time(experiment: Finished) -> Point:
    return Point(
        "Compare performance over time",
        "Learning curves of the searches and of all trainings are on this page, with the device time of each.",
        "Results under other budgets, where you claim that the method is faster.",
    )


def _random(experiment: Finished) -> Point:
    practice = "Compare against random sampling and random search"
    count = experiment.summary[0]["n_random"]
    if count == 0:
        return Point(practice, "No random network was trained: `baseline.num_arcs` says how many.", kept=False)
    sampler = experiment.setting("random_arcs.sampler")
    drawn = "" if sampler is None else f" (sampler {sampler})"
    networks = "1 random network" if count == 1 else f"{count} random networks"
    sampling = f"{networks}{drawn}, trained like the found ones. Random search at equal hours:"
    best = experiment.summary[0]["equal_hours_accuracy"]
    if best is None:
        reasons = experiment.summary[1]
        why = reasons.get("equal_hours_accuracy") or reasons.get("equal_hours_k") or "not known"
        return Point(practice, f"{sampling} {why}.", "What as many hours of random search would have found.")
    return Point(practice, f"{sampling} its best by validation accuracy is expected to reach {percent(best)}.")


def _several_runs(experiment: Finished) -> Point:
    searches, seeds = len(experiment.search_seeds), experiment.seeds_of("searched")
    enough = "" if searches >= MIN_SEARCHED else f" An interval needs {MIN_SEARCHED} searches."
    return Point(
        "Validate the results several times",
        f"Searches: {searches} (seeds {_listed(experiment.search_seeds)}); trainings of each network: {len(seeds)}"
        f" (seeds {_listed(seeds)}).{enough}",
        kept=searches > 1,
    )


def _benchmarks(experiment: Finished) -> Point:
    return Point(
        "Use tabular or surrogate benchmarks if possible",
        "Not used: every network of this page was trained.",
        "Whether you have evaluated the method on such a benchmark besides.",
    )


def _confounders(experiment: Finished) -> Point:
    devices = {str(row["device"]) for row in experiment.metrics if row["device"] is not None}
    return Point(
        "Control confounding factors",
        f"Devices of the trainings: {_listed(devices)}. Versions stand under What made each table.",
        kept=len(devices) == 1,
    )


# --- reporting


def _tuning(experiment: Finished) -> Point:
    changed = sum(setting.described.changed for setting in experiment.settings)
    return Point(
        "Report the use of hyperparameter optimization",
        f"{changed} settings differ from the defaults (the original program's); they are listed under Settings.",
        "How these were chosen, on which images, and what that cost.",
    )


def _time(experiment: Finished) -> Point:
    summary, _ = experiment.summary
    times = {"searches": "search_hours", "selections": "select_hours", "trainings": "train_hours"}
    hours = {what: summary[column] for what, column in times.items()}
    known = [f"all {what} {duration(3600 * spent)}" for what, spent in hours.items() if spent is not None]
    return Point(
        "Report the time for the entire end-to-end NAS method",
        f"Device time: {', '.join(known) or 'not known'}.",
        kept=len(known) == len(times),
    )


def _setup(experiment: Finished) -> Point:
    return Point(
        "Report all the details of your experimental setup",
        "All settings, seeds, versions, devices and every trained network with its arc are on this page.",
        kept=bool(experiment.settings and experiment.provenance),
    )


def _listed(values: Any) -> str:
    return ", ".join(map(str, values)) or "not known"
