# Validation of config.yaml, and what the rules share.
import functools
import os
import shlex
import sys
from pathlib import Path

from enas_core.console import UserError
from enas_core.files.atomic import require_writable
from enas_core.planning.run_times import FILE, conditions, read_run_times
from enas_core.settings import networks
from enas_core.settings.arcs import Transfer
from enas_core.settings.revisions import (
    WITHOUT_SETTINGS,
    revision_of,
    what_is_stale,
)
from enas_core.settings.stages import STAGES, stage_settings, to_json
from enas_core.settings.variants import EXPERIMENT_PATTERN, home_of, variants_of
from enas_core.settings.workflow import parse_workflow, read_yaml
from enas_core.training.gpus import visible_gpus
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

try:
    for config_path in workflow.configfiles:
        read_yaml(Path(config_path))  # Snakemake takes the last of two equal keys
    WORKFLOW = parse_workflow(config)
except UserError as error:
    raise WorkflowError(*error.lines)

# Snakemake records the input files and the params of each job, and runs it again when there are others. So a new version
# gives no rule a new one (tests/workflow/test_upgrades.py has results of earlier versions). What a stage must know besides
# stands in its settings. Where and how to compute are resources of the rules, which are not recorded: changing them re-runs
# nothing. Nor do changed commands and scripts, by `rerun-triggers` in profiles/default.
DATA_PATH = (
    ""
    if WORKFLOW.data_path is None
    else f"--data-path {shlex.quote(WORKFLOW.data_path)}"
)
# Two options in one resource: a rule whose command changes would run everything again.
DEVICE = (
    WORKFLOW.device
    if WORKFLOW.data_on_device == "auto"
    else f"{WORKFLOW.device} --data-on-device {WORKFLOW.data_on_device}"
)
TENSORBOARD = "--tensorboard" if WORKFLOW.tensorboard else ""

# Training states and downloads, which no rule declares. They lie below the prefix of a module, as all files do, and stay
# in the working folder when the declared files are in an object store.
RESULTS = workflow.modifier.path_modifier.replace_prefix("results/")
STATE = f"{RESULTS}{{experiment}}/_state"
DOWNLOADS = f"{RESULTS}_downloads"


def require_folder(path):
    """Say in one line what else lies in the way of results, where Snakemake would show its traceback."""
    try:
        require_writable(Path(path))
    except NotADirectoryError as error:
        raise WorkflowError(
            f"{error.filename}: not a folder; results are written there"
        )
    except PermissionError:
        pass  # a dry run may be of somebody else's results


require_folder(RESULTS)

# What a plan has measured of the jobs' run times, which no rule declares either.
try:
    RUN_TIMES = read_run_times(Path(f"{RESULTS}{FILE}"))
except ValueError as error:
    raise WorkflowError(str(error))

# Every job uses this interpreter; threads that wait do not burn the core that another one needs.
shell.prefix(
    f'set -euo pipefail; export PATH={shlex.quote(os.path.dirname(sys.executable))}:"$PATH" OMP_WAIT_POLICY=PASSIVE; '
)


wildcard_constraints:
    experiment=EXPERIMENT_PATTERN,
    stage="|".join(STAGES),
    network="[A-Za-z][A-Za-z0-9_-]*",
    named=f"(?!{networks.RESERVED}(?![A-Za-z0-9_-]))[A-Za-z][A-Za-z0-9_-]*",
    index="[0-9]+",
    seed="[0-9]+",
    strategy=networks.STRATEGY_PATTERN,
