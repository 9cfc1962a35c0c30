"""What tests of planning share: a dry run of Snakemake, a small experiment, and what its steps cost."""

from enas_core.planning.calibrate import Cost
from enas_core.settings.dataset import DatasetFacts
from enas_core.settings.workflow import parse_workflow

DRY_RUN = """\
Building DAG of jobs...
Job stats:
job           count
----------  -------
augment           2
search            1
select_arc        1
all               1
total             5

[Tue Nov 24 08:53:50 2026]
rule augment:
    input: results/a/config/augment.json, results/a/arcs/random-00.txt
    output: results/a/networks/random-00/seed1/epochs.parquet, results/a/networks/random-00/seed1/model.pt
    reason: Missing output files: results/a/networks/random-00/seed1/model.pt
    wildcards: experiment=a, network=random-00, seed=1
    resources: tmpdir=/tmp, gpu=1
Shell command: python -m enas_core.augment
[Tue Nov 24 08:53:50 2026]
rule search:
    input: results/a/config/search.json
    output: results/a/search/s1/epochs.parquet, results/a/search/s1/supernet.pt
    wildcards: experiment=a, seed=1
[Tue Nov 24 08:53:50 2026]
rule select_arc:
    input: results/a/search/s1/supernet.pt
    output: results/a/search/s1/own/candidates.parquet, results/a/arcs/searched-s1.txt
    wildcards: experiment=a, seed=1
[Tue Nov 24 08:53:50 2026]
rule augment:
    input: results/a/config/augment.json, results/a/arcs/searched-s1.txt
    output: results/a/networks/searched-s1/seed1/epochs.parquet, results/a/networks/searched-s1/seed1/model.pt
    wildcards: experiment=a, network=searched-s1, seed=1
[Tue Nov 24 08:53:50 2026]
localrule all:
    input: results/a/networks/random-00/seed1/model.pt, results/a/networks/searched-s1/seed1/model.pt
Job stats:
job           count
----------  -------
total             5

This was a dry-run (flag -n). The order of jobs does not reflect the order of execution.
"""

NOTHING = "Building DAG of jobs...\nNothing to be done (all requested files are present and up to date).\n"

COST = Cost(start=1000.0, step=10.0, forward=1.0, once=0.1, memory=1, device="cpu")


IMAGES = DatasetFacts(train_images=140, test_images=60, size=8, channels=1, classes=10)


def small_experiment():
    """140 training images and 60 test images in batches of 32; 60 of the former are for validation."""
    dataset = {"name": "digits", "source": "digits", "split_test_images": 60, "max_train_images": 140}
    search = {"num_epochs": 3, "batch_size": 32, "aux_head": False, "valid_images": 60}
    search["controller"] = {"updates_per_epoch": 5, "arcs_per_update": 7}
    augment = {"num_epochs": 4, "batch_size": 32, "aux_head": False}
    raw = {"dataset": dataset, "search": search, "augment": augment, "select": {"num_candidates": 11}}
    raw |= {"baseline": {"num_arcs": 2}, "arcs": {"mine": "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 " * 2}}
    return parse_workflow({"experiments": {"a": raw}}).experiments["a"]
