# Validation of config.yaml and the helpers of all rules.
import os
import shlex
import sys
from pathlib import Path

from enas_core.settings.stages import STAGES, stage_settings, to_json
from enas_core.settings.experiment import Transfer
from enas_core.settings.workflow import parse_workflow, read_yaml
from snakemake.exceptions import WorkflowError

try:
    for config_path in workflow.configfiles:
        read_yaml(Path(config_path))  # Snakemake takes the last of two equal keys
    WORKFLOW = parse_workflow(config)
except ValueError as error:
    raise WorkflowError(str(error))

# Where and how to compute are resources of the rules, not params: changing them re-runs nothing.
DATA_PATH = (
    ""
    if WORKFLOW.data_path is None
    else f"--data-path {shlex.quote(WORKFLOW.data_path)}"
)
TENSORBOARD = "--tensorboard" if WORKFLOW.tensorboard else ""

# What prepare_data writes beside the manifest.
ARRAYS = expand(
    "results/{{experiment}}/data/{part}_{what}.npy",
    part=["train", "test"],
    what=["images", "labels"],
)

# Every job uses this interpreter; threads that wait do not burn the core that another one needs.
shell.prefix(
    f'set -euo pipefail; export PATH={shlex.quote(os.path.dirname(sys.executable))}:"$PATH" OMP_WAIT_POLICY=PASSIVE; '
)


wildcard_constraints:
    experiment="[A-Za-z][A-Za-z0-9_-]*",
    stage="|".join(STAGES),
    network="[A-Za-z][A-Za-z0-9_-]*",
    named="(?!(?:searched-s|random-)[0-9]+(?![A-Za-z0-9_-]))[A-Za-z][A-Za-z0-9_-]*",
    index="[0-9]+",
    seed="[0-9]+",


def settings_of(name):
    """The settings of the experiment called `name`."""
    if name not in WORKFLOW.experiments:
        raise WorkflowError(
            f"config.yaml: experiments: {name!r} is not there; allowed: {', '.join(WORKFLOW.experiments)}"
        )
    return WORKFLOW.experiments[name]


def experiment(wildcards):
    """The settings of the experiment that a job belongs to."""
    return settings_of(wildcards.experiment)


def searched_networks(name):
    """Names of the networks found by the search seeds of an experiment."""
    return [f"searched-s{seed}" for seed in settings_of(name).search.seeds]


def all_networks(name):
    """Names of all networks of an experiment: found, random, and named in `arcs`."""
    count = settings_of(name).baseline.num_arcs
    return [
        *searched_networks(name),
        *(f"random-{i:02}" for i in range(count)),
        *settings_of(name).arcs,
    ]


def trainings(name, file):
    """A file of each training of an experiment."""
    return expand(
        "results/{experiment}/networks/{network}/seed{seed}/{file}",
        experiment=name,
        network=all_networks(name),
        seed=settings_of(name).augment.seeds,
        file=file,
    )


def searches(name, file):
    """A file of each search seed of an experiment."""
    return expand(
        "results/{experiment}/search/s{seed}/{file}",
        experiment=name,
        seed=settings_of(name).search.seeds,
        file=file,
    )


def own_candidates(name):
    """The table of the policy's own candidates of each search seed of an experiment."""
    return searches(name, "own/candidates.parquet")


def folders(files):
    """The folders that files are in."""
    return [os.path.dirname(file) for file in files]


def report_files(name):
    """Figures and tables of an experiment's report."""
    cells = searched_networks(name)
    cells += ["best-random"] if settings_of(name).baseline.num_arcs else []
    pictures = ["found_vs_random", "shared_vs_test", "search", "candidates", "augment"]
    files = [f"{picture}.svg" for picture in pictures]
    files += [f"cell-{cell}.svg" for cell in cells]
    files += ["comparison.html", "networks.html", "settings.html"]
    return [f"results/{name}/report/{file}" for file in files]


def named_arc(wildcards):
    """The entry of `arcs` that a job writes."""
    arcs = experiment(wildcards).arcs
    if wildcards.named not in arcs:
        raise WorkflowError(
            f"config.yaml: experiments.{wildcards.experiment}.arcs: {wildcards.named!r} is not there;"
            f" allowed: {', '.join(arcs) or 'none'}"
        )
    return arcs[wildcards.named]


def source_candidates(arc):
    """Tables of the experiment that an entry of `arcs` is taken from; none for an arc given as text."""
    return own_candidates(arc.source) if isinstance(arc, Transfer) else []
