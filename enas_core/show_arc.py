"""Command `show_arc`: print an arc in all its forms, with the size of its network, and draw it.

Reads an arc from the command line, from a text file, or from config.yaml by its name; writes an SVG picture if asked.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError
from enas_core.fields import NAME_PATTERN, all_defaults
from enas_core.files.atomic import write_text
from enas_core.options import TogetherInOneClass, run_command
from enas_core.planning.size import NetworkSize, describe
from enas_core.settings.arcs import Transfer
from enas_core.settings.experiment import DEFAULT_SPACE, Experiment
from enas_core.settings.networks import RESULTS
from enas_core.settings.workflow import load_workflow
from enas_core.spaces import space_class
from enas_core.spaces.space import Arc, SearchSpace

DEFAULT_SIZE = all_defaults(NetworkSize)
CONFIGFILE = Path("config.yaml")


def show_arc(
    arc: Annotated[
        str,
        Parameter(
            help='the arc in quotes ("0 2 0 0 ..." or "Genotype(normal=...)"), a file that holds it (arcs/NAME.txt), or'
            " its name in config.yaml"
        ),
    ],
    /,
    *,
    configfile: Annotated[Path, Parameter(help="file with the experiments that name arcs")] = CONFIGFILE,
    experiment: Annotated[
        str | None, Parameter(help="whose arc it is, where several experiments have one of that name")
    ] = None,
    size: Annotated[NetworkSize, TogetherInOneClass] = DEFAULT_SIZE,
    svg: Annotated[Path | None, Parameter(help="picture to write")] = None,
) -> None:
    """Print an arc with its network's parameters and MACs, and draw its picture.

    Example: enas show-arc enas_paper --svg enas_paper.svg
    """
    if svg is not None and not svg.absolute().parent.is_dir():
        raise UserError(f"--svg: {svg.parent}: there is no such folder")
    space, shown = space_and_arc(arc, configfile, experiment)
    lines = describe(space, shown, size)
    if svg is not None:
        write_text(svg, space.draw(shown))
        lines.append(f"picture         {svg}")
    print("\n".join(lines))


def space_and_arc(text: str, configfile: Path, experiment: str | None) -> tuple[SearchSpace, Arc]:
    """An arc from its text form, from a file that holds it, or from config.yaml. Raises UserError, one line."""
    space = space_class(DEFAULT_SPACE)
    if experiment is None and os.path.isfile(text):  # which no text is too long for
        return space.read_any(Path(text))
    if experiment is not None or re.fullmatch(NAME_PATTERN, text):
        return named_arc(text, configfile, experiment)
    if len(text.split()) == 1 and re.match(r"[\w./~-]+$", text) and not text.strip().isdigit():
        raise UserError(f"{text}: neither an arc in quotes nor a file")
    return space.of_text(text)


def named_arc(name: str, configfile: Path, experiment: str | None) -> tuple[SearchSpace, Arc]:
    """The arc that experiments list under `name`. Raises UserError where there is none, or more than one."""
    if experiment is None and not configfile.exists():
        raise UserError(f"{name}: neither an arc in quotes nor a file, and there is no {configfile} that may list it")
    experiments = load_workflow(configfile).experiments
    if experiment is not None and experiment not in experiments:
        raise UserError(f"--experiment: {experiment!r} is not in {configfile}; allowed: {', '.join(experiments)}")
    asked = {experiment: experiments[experiment]} if experiment is not None else experiments
    found = {owner: listed for owner, listed in asked.items() if name in listed.arcs}
    if not found:
        known = sorted({arc for listed in asked.values() for arc in listed.arcs})
        raise UserError(f"{name}: not the name of an arc in {configfile}; allowed: {', '.join(known) or 'none'}")
    arcs = {
        (owner if isinstance(listed.arcs[name], Transfer) else listed.arcs[name]) for owner, listed in found.items()
    }
    if len(arcs) > 1:
        raise UserError(f"{name}: experiments have different arcs of that name; --experiment: {', '.join(found)}")
    owner, listed = next(iter(found.items()))
    return listed.search_space, arc_of(owner, listed, name)


def arc_of(owner: str, experiment: Experiment, name: str) -> Arc:
    """The arc called `name` of the experiment called `owner`. Raises UserError where it has not been found yet."""
    arc = experiment.arcs[name]
    if not isinstance(arc, Transfer):
        return experiment.search_space.parse(arc)
    path = RESULTS / owner / "arcs" / f"{name}.txt"
    if not path.exists():
        raise UserError(f"{name}: the arc that {arc.source} finds; `snakemake --cores 2 {path}` searches for it")
    return experiment.search_space.read(path)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(show_arc, arguments)


if __name__ == "__main__":
    sys.exit(main())
