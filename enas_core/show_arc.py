"""Command `show_arc`: print an arc in all its forms, with the size of its network, and draw it.

Reads an arc from the command line or from a text file; writes an SVG picture.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError
from enas_core.fields import all_defaults
from enas_core.files.atomic import write_text
from enas_core.options import TogetherInOneClass, run_command
from enas_core.planning.size import NetworkSize, describe
from enas_core.settings.experiment import DEFAULT_SPACE
from enas_core.spaces import space_class
from enas_core.spaces.space import Arc, SearchSpace

DEFAULT_SIZE = all_defaults(NetworkSize)


def show_arc(
    arc: Annotated[str, Parameter(help='the arc in quotes ("0 2 0 0 ..."), or a file that holds it (arcs/NAME.txt)')],
    /,
    *,
    size: Annotated[NetworkSize, TogetherInOneClass] = DEFAULT_SIZE,
    svg: Annotated[Path, Parameter(help="picture to write")] = Path("arc.svg"),
) -> None:
    """Print an arc with its network's parameters and MACs, and draw its picture."""
    space, shown = space_and_arc(arc)
    lines = describe(space, shown, size)
    write_text(svg, space.draw(shown))
    print("\n".join([*lines, f"picture         {svg}"]))


def space_and_arc(text: str) -> tuple[SearchSpace, Arc]:
    """An arc from its text form, or from a file that holds it. Raises UserError, one line."""
    space = space_class(DEFAULT_SPACE)
    if Path(text).is_file():
        return space.read_any(Path(text))
    if len(text.split()) == 1 and not text.strip().isdigit():
        raise UserError(f"{text}: neither an arc in quotes nor a file")
    return space.of_text(text)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(show_arc, arguments)


if __name__ == "__main__":
    sys.exit(main())
