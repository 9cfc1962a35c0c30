"""Command `status`: how far the stages of a run have come, and how long the rest will take.

Reads what the stages have written into the folder of results, so it works on any machine that sees the folder; starts
and changes nothing there. Prints a table, which on a terminal goes on until all is done; writes a page if asked.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from cyclopts import Parameter
from pydantic import Field

from enas_core.console import UserError, log
from enas_core.files.atomic import write_text
from enas_core.monitor.left import planned_seconds, rest_of, seconds_left
from enas_core.monitor.lines import Line, lines_of, table_of, title_of
from enas_core.monitor.stages import Overview, read_experiment
from enas_core.options import bounded, run_command
from enas_core.planning.run_times import FILE, read_run_times
from enas_core.settings.networks import RESULTS
from enas_core.settings.variants import FOLDER
from enas_core.settings.workflow import Workflow, load_workflow

if TYPE_CHECKING:
    from rich.text import Text

CONFIGFILE = Path("config.yaml")

COLOURS = {"running": "green", "silent": "red", "failed": "red", "interrupted": "yellow", "waiting": "dim"}
"""Of a line, by the state of its stage."""

NOTHING = "no stage has begun"


class Part(NamedTuple):
    """What is shown of one experiment."""

    title: str
    table: list[Line]
    overview: Overview


def status(
    results: Annotated[Path, Parameter(help="folder of all results, or of one experiment")] = RESULTS,
    /,
    *,
    configfile: Annotated[Path, Parameter(help="file with the experiments: what is still to come")] = CONFIGFILE,
    once: Annotated[bool, Parameter(negative="", help="print once, on a terminal too")] = False,
    every: Annotated[
        float, bounded(Annotated[float, Field(ge=1, le=3600)], help="seconds between two looks", metavar="SECONDS")
    ] = 5.0,
    html: Annotated[
        Path | None, Parameter(help="page to write, with learning curves; written anew as long as stages are left")
    ] = None,
) -> None:
    """Show how far the stages of a run have come, and how long the rest will take.

    Accuracies are those of the last and of the best epoch so far. Time is that of all that comparison.parquet needs.

    Example: enas status results/ --html status.html
    """
    if not results.is_dir():
        raise UserError(f"{results}: there is no such folder")
    workflow = workflow_of(configfile)
    if once or not (sys.stdout.isatty() or html is not None):
        parts = look(results, workflow)
        print(as_text(parts))
        if html is not None:
            write_page(html, parts, None)
        return
    watch(results, workflow, every, html)


def workflow_of(configfile: Path) -> Workflow | None:
    """The settings, which say what is still to come; None where they cannot be read."""
    if not configfile.exists():
        log.info("%s: not there, so what has not begun is not shown", configfile)
        return None
    return load_workflow(configfile)


def look(results: Path, workflow: Workflow | None) -> list[Part]:
    """What there is to see now."""
    now = time.time()
    parts = []
    for folder, name in experiments_in(results):
        home = folder.parents[name.count("/")]
        try:
            experiment = workflow.settings_of(name) if workflow is not None else None
        except UserError:
            experiment = None
        overview = read_experiment(folder, name, experiment, now)
        left = seconds_left(overview, planned_seconds(name, experiment, read_run_times(home / FILE)))
        parts.append(Part(title_of(overview, rest_of(overview, left)), table_of(overview, left), overview))
    return parts


def experiments_in(results: Path) -> Iterator[tuple[Path, str]]:
    """Folders of experiments and their names: `results` itself, or those in it; variants after their experiment."""
    own = results.absolute()
    homes = [own] if is_experiment(own) else sorted(path for path in own.iterdir() if is_experiment(path))
    for home in homes:
        yield home, home.name
        for variant in sorted(home.glob(f"{FOLDER.strip('/')}/*")):
            if is_experiment(variant):
                yield variant, f"{home.name}{FOLDER}{variant.name}"


def is_experiment(folder: Path) -> bool:
    """Whether the workflow has written settings or states there."""
    return not folder.name.startswith("_") and ((folder / "config").is_dir() or (folder / "_state").is_dir())


def as_text(parts: list[Part]) -> str:
    """For a file, or a terminal that is not to be watched."""
    blocks = ["\n".join([part.title, *lines_of(part.table)]) for part in parts]
    return "\n\n".join(blocks) or NOTHING


def watch(results: Path, workflow: Workflow | None, every: float, html: Path | None) -> None:
    """Look again and again until nothing is left, or until the user has seen enough."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    live = Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")
    with live, contextlib.suppress(KeyboardInterrupt):
        while True:
            parts = look(results, workflow)
            counts = [(part.overview.count("finished"), len(part.overview.stages)) for part in parts]
            something_left = not parts or any(finished < stages for finished, stages in counts)
            if html is not None:
                write_page(html, parts, every if something_left else None)
            if console.is_terminal:
                live.update(coloured(parts), refresh=True)
            if not something_left:
                return
            time.sleep(every)


def coloured(parts: list[Part]) -> Text:
    """For a terminal. Lines that are too long for it lose their ends."""
    from rich.text import Text

    text = Text("" if parts else NOTHING, no_wrap=True, overflow="crop")
    for part in parts:
        header, *lines = lines_of(part.table)
        text.append(f"{part.title}\n", "bold")
        text.append(f"{header}\n")
        for line, row in zip(lines, part.table, strict=True):
            text.append(f"{line}\n", COLOURS.get(row.state, ""))
    return text


def write_page(path: Path, parts: list[Part], every: float | None) -> None:
    """Write the page."""
    from enas_core.monitor.page import page

    title = "How far the run has come" if parts else NOTHING
    shown = [(part.title, part.table, part.overview) for part in parts]
    written = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    again = f"; written anew every {every:.0f} s while `enas status` runs" if every is not None else ""
    write_text(path, page(title, shown, f"As of {written}{again}.", every))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(status, arguments)


if __name__ == "__main__":
    sys.exit(main())
