"""Command `config`: validate config.yaml and print every setting with its value and its meaning.

The rule `resolve_config` calls it with `--resolved` to write the settings of one stage, which the workflow has read and
validated already; the rule `check_images` with `--check-images`, once the images are there and before any training.
`--schema` prints what `config.schema.json` holds.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError
from enas_core.files.atomic import write_text
from enas_core.options import run_command, several
from enas_core.settings.describe import as_lines, describe
from enas_core.settings.workflow import load_workflow


def config(
    *,
    configfile: Annotated[Path, Parameter(help="file to read")] = Path("config.yaml"),
    experiment: Annotated[str | None, Parameter(help="print only this experiment")] = None,
    resolved: Annotated[
        str | None, Parameter(help="text of one stage's settings to write to --out (used by the workflow)")
    ] = None,
    check_images: Annotated[
        Path | None, Parameter(help="manifest.json of prepared images on which --stages must be able to train")
    ] = None,
    stages: Annotated[Sequence[Path], several(0, help="settings of stages (config/search.json, ...)")] = (),
    out: Annotated[
        Path | None, Parameter(help="where to write --resolved, or that the images of --check-images fit")
    ] = None,
    schema: Annotated[bool, Parameter(negative="", help="print the JSON schema of config.yaml instead")] = False,
) -> None:
    """Validate config.yaml and print the resolved settings."""
    if schema:
        from enas_core.settings.schema import schema_text

        print(schema_text(), end="")
        return
    if out is not None and (resolved is None) == (check_images is None):
        raise UserError("--out needs --resolved or --check-images, one of the two")
    if out is None and (resolved is not None or check_images is not None):
        raise UserError("--resolved and --check-images need --out")
    if out is not None and resolved is not None:
        write_text(out, resolved)
    elif out is not None and check_images is not None:
        write_text(out, fits(check_images, stages))
    else:
        print_experiments(configfile, experiment)


def fits(manifest_file: Path, stages: Sequence[Path]) -> str:
    """A line for each stage that can train on the images of a manifest. Raises UserError for the first that cannot."""
    from enas_core.data.fit import require_fit
    from enas_core.data.manifest import read_manifest
    from enas_core.settings.stages import STAGES, AugmentStage, SearchStage, read_stage

    manifest = read_manifest(manifest_file)
    lines = []
    for path in stages:
        model = STAGES.get(path.stem)
        if model is None or not issubclass(model, SearchStage | AugmentStage):
            raise UserError(f"--stages: {path}: not the settings of a training; allowed: search.json, augment.json")
        require_fit(read_stage(path, model), manifest, manifest_file.parent)
        lines.append(f"{path.stem}: fits\n")
    return "".join(lines)


def print_experiments(configfile: Path, experiment: str | None) -> None:
    """Every setting of one experiment, or of all."""
    experiments = load_workflow(configfile).experiments
    if experiment is not None and experiment not in experiments:
        allowed = ", ".join(experiments)
        raise UserError(f"{configfile}: experiments: {experiment!r} is not there; allowed: {allowed}")
    for name in [experiment] if experiment is not None else experiments:
        print("\n".join([f"# {name}", *as_lines(describe(experiments[name])), ""]))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(config, arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader such as `head` has seen enough
    sys.exit(main())
