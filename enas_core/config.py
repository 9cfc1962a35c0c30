"""Command `config`: validate config.yaml and print the settings of its experiments.

The rule `check_images` calls it with `--check-images`, once the images are there and before any training. `--schema`
prints what `config.schema.json` holds.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError
from enas_core.files.atomic import write_text
from enas_core.options import run_command, several
from enas_core.settings.describe import Described, as_lines, changed_lines, describe, nested
from enas_core.settings.experiment import Experiment
from enas_core.settings.presets import preset_values
from enas_core.settings.workflow import load_workflow


def config(
    experiment: Annotated[str | None, Parameter(help="print only this experiment")] = None,
    *,
    configfile: Annotated[Path, Parameter(help="file to read")] = Path("config.yaml"),
    everything: Annotated[
        bool, Parameter(name="--all", negative="", help="print every setting with its meaning, not only what differs")
    ] = False,
    in_json: Annotated[
        bool, Parameter(name="--json", negative="", help="print JSON in the form of config.yaml")
    ] = False,
    schema: Annotated[bool, Parameter(negative="", help="print the JSON schema of config.yaml instead")] = False,
    check_images: Annotated[
        Path | None, Parameter(help="manifest.json of prepared images on which --stages must be able to train")
    ] = None,
    stages: Annotated[Sequence[Path], several(0, help="settings of stages (config/search.json, ...)")] = (),
    out: Annotated[Path | None, Parameter(help="where to write that the images of --check-images fit")] = None,
) -> None:
    """Validate config.yaml and print which settings of its experiments differ from the defaults.

    Every mistake in the file is a line of its own.

    Example: enas config digits --all
    """
    if (out is None) != (check_images is None):
        raise UserError("--check-images and --out need each other")
    if schema:
        from enas_core.settings.schema import schema_text

        print(schema_text(), end="")
    elif out is not None and check_images is not None:
        write_text(out, fits(check_images, stages))
    else:
        chosen = experiments_of(configfile, experiment)
        print(as_json(chosen, everything) if in_json else as_text(chosen, everything))


def fits(manifest_file: Path, stages: Sequence[Path]) -> str:
    """A line for each stage that can train on the images of a manifest. Raises UserError for the first that cannot, and
    where the arrays beside the manifest are not those that it describes. (Some storages bring the manifest alone; each
    stage looks at the arrays again.)"""
    from enas_core.data.arrays import mapped_arrays
    from enas_core.data.fit import require_fit
    from enas_core.data.manifest import read_manifest
    from enas_core.settings.stages import STAGES, AugmentStage, SearchStage, read_stage

    manifest = read_manifest(manifest_file)
    with suppress(FileNotFoundError):
        mapped_arrays(manifest_file.parent, manifest)
    lines = []
    for path in stages:
        model = STAGES.get(path.stem)
        if model is None or not issubclass(model, SearchStage | AugmentStage):
            raise UserError(f"--stages: {path}: not the settings of a training; allowed: search.json, augment.json")
        require_fit(read_stage(path, model), manifest, manifest_file.parent)
        lines.append(f"{path.stem}: fits\n")
    return "".join(lines)


def experiments_of(configfile: Path, name: str | None) -> dict[str, Experiment]:
    """All experiments of a file, or the one called `name`. Raises UserError where it is not there."""
    experiments = load_workflow(configfile).experiments
    if name is None:
        return experiments
    if name not in experiments:
        allowed = ", ".join(experiments)
        raise UserError(f"{configfile}: experiments: {name!r} is not there; allowed: {allowed}")
    return {name: experiments[name]}


def described(experiment: Experiment) -> list[Described]:
    """All settings of an experiment, with what its preset says of them."""
    return describe(experiment, preset_values(experiment.preset, experiment.space))


def as_text(experiments: Mapping[str, Experiment], everything: bool) -> str:
    """A title and a line a setting for each experiment."""
    parts = []
    for name, experiment in experiments.items():
        rows = described(experiment)
        lines = as_lines(rows) if everything else changed_lines(rows)
        parts.append("\n".join([f"# {name}", *lines]))
    return "\n\n".join(parts)


def as_json(experiments: Mapping[str, Experiment], everything: bool) -> str:
    """Experiments by name, each section by section as in config.yaml, with nothing left to inherit."""
    content = {
        name: nested([row.key for row in described(experiment) if everything or row.changed], experiment)
        for name, experiment in experiments.items()
    }
    return json.dumps({"experiments": content}, indent=1)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(config, arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader such as `head` has seen enough
    sys.exit(main())
