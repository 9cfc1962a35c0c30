"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from enas_core.console import UserError
from enas_core.settings.describe import Described, describe
from enas_core.settings.workflow import load_workflow


def _write_resolved(path: Path, text: str) -> int:
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        print(f"error: {path}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def as_lines(settings: list[Described]) -> list[str]:
    """`key = value  # meaning` for each setting, with an empty line where another section begins."""
    lines = []
    section = ""
    for setting in settings:
        if setting.key.rpartition(".")[0] != section:
            section = setting.key.rpartition(".")[0]
            lines.append("")
        lines.append(f"{setting.key} = {setting.value}  # {setting.meaning}")
    return lines


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m enas_core.config", description="Validate config.yaml and print the resolved settings."
    )
    parser.add_argument("--configfile", type=Path, default=Path("config.yaml"), help="file to read (%(default)s)")
    parser.add_argument("--experiment", help="print only this experiment")
    parser.add_argument("--resolved", help="text of one stage's settings to write to --out (used by the workflow)")
    parser.add_argument("--out", type=Path, help="where to write --resolved")
    options = parser.parse_args(arguments)
    if (options.resolved is None) != (options.out is None):
        parser.error("--resolved and --out go together")
    if options.resolved is not None:
        return _write_resolved(options.out, options.resolved)
    try:
        experiments = load_workflow(options.configfile).experiments
        if options.experiment is not None and options.experiment not in experiments:
            raise UserError(
                f"{options.configfile}: experiments: {options.experiment!r} is not there;"
                f" allowed: {', '.join(experiments)}"
            )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, experiment in experiments.items():
        if options.experiment in (None, name):
            print("\n".join([f"# {name}", *as_lines(describe(experiment)), ""]))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader such as `head` has seen enough
    sys.exit(main())
