"""The program `enas`: every command of this package under one name, `enas search` for `python -m enas_core.search`.

A command's module is imported when the command is called, so that `enas --help` is quick. A new command is a module
with a function of its name, and a line in `COMMANDS`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, Group

from enas_core.options import command_line_of, run_app

COMMANDS = {
    "For people": {
        "config": "Validate config.yaml and print which settings of its experiments differ from the defaults.",
        "plan": "Estimate device-hours, memory and wall-clock time of the jobs that are left for some targets.",
        "status": "Show how far the stages of a run have come, and how long the rest will take.",
        "compare": "Compare found with random networks, and experiments with each other.",
        "report": "Write a page on one or several experiments that opens on the answer.",
        "predict": "Give class and probability (0..1) of images, in files or folders.",
        "export": "Write a trained network as a file that runs without this project, and check it.",
        "show_arc": "Print an arc with its network's parameters and MACs, and draw its picture.",
        "from_flags": "Turn command lines of the original's main.py into an experiment of config.yaml.",
    },
    "Stages, which the workflow calls": {
        "prepare_data": "Read the images of an experiment, check them, and write them as arrays with a manifest.",
        "random_arcs": "Draw random arcs; arc i uses seed + i. Without --config they are printed.",
        "search": "Train the supernet and what proposes its arcs in turn; resumes what was interrupted.",
        "select_arc": "Score arcs with the shared weights and select the best; resumes what was interrupted.",
        "strategies": "Gather what each strategy has evaluated to choose an arc, an evaluation a row.",
        "augment": "Train one arc from scratch; resumes what was interrupted.",
        "final": "Choose among search seeds by shared accuracy, never by test accuracy.",
        "class_accuracy": "Write how well a trained network tells each class, and what it takes it for.",
        "ablation": "Compare variants of a search: which of its settings matter.",
    },
}
"""Modules of commands, in the groups that `enas --help` shows, and the first line of each function's docstring."""


def program(arguments: Sequence[str]) -> App:
    """The command line of `enas`."""
    app = command_line_of("enas")
    app.help = (
        "Search, train and compare network architectures. `enas COMMAND --help` explains a command. A run is started by"
        " Snakemake: `snakemake --cores 2 results/digits/report.html`."
    )
    for title, commands in COMMANDS.items():
        group = Group.create_ordered(title)
        for position, (module, line) in enumerate(commands.items()):
            name = module.replace("_", "-")
            # The line spares an import in the list of all commands; a command that is called has its own, longer help.
            help_line = None if name in arguments else line
            app.command(f"enas_core.{module}:{module}", name=name, group=group, sort_key=position, help=help_line)
    app.register_install_completion_command(help="Install completion for the shell in use.")
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return run_app(program(arguments), arguments)


if __name__ == "__main__":
    sys.exit(main())
