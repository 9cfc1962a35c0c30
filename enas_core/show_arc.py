"""Command `show_arc`: print an arc in all its forms, with the size of its network, and draw its cells.

Reads an arc from the command line or from a text file; writes an SVG picture.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError
from enas_core.files.atomic import write_text
from enas_core.options import TogetherInOneClass, run_command
from enas_core.planning.size import NetworkSize, describe
from enas_core.spaces.micro.arc import Arc, read_arc
from enas_core.spaces.micro.drawing import draw

DEFAULT_SIZE = NetworkSize()


def show_arc(
    arc: Annotated[
        str, Parameter(help='the integers in quotes ("0 2 0 0 ..."), or a file that holds them (arcs/NAME.txt)')
    ],
    /,
    *,
    size: Annotated[NetworkSize, TogetherInOneClass] = DEFAULT_SIZE,
    svg: Annotated[Path, Parameter(help="picture to write")] = Path("arc.svg"),
) -> None:
    """Print an arc with its network's parameters and MACs, and draw its picture."""
    shown = arc_of(arc)
    lines = describe(shown, size)
    write_text(svg, draw(shown))
    print("\n".join([*lines, f"picture         {svg}"]))


def arc_of(text: str) -> Arc:
    """An arc from its integer form, or from a file that holds it. Raises UserError, one line."""
    if Path(text).is_file():
        return read_arc(Path(text))
    if len(text.split()) == 1 and not text.strip().isdigit():
        raise UserError(f"{text}: neither an arc in quotes nor a file")
    return Arc.parse(text)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(show_arc, arguments)


if __name__ == "__main__":
    sys.exit(main())
