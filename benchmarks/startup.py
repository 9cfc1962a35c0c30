"""How long a person waits for an answer that needs no computing: help, a wrong option, a bad setting, a bad table.

    python benchmarks/startup.py [--quick]

Each is a fresh process, several times in turn; the first start, which compiles to bytecode, does not count. `imports`
says which packages took longest to import, by `python -X importtime`, which takes longer than a start without it.
Writes benchmarks/results/startup.parquet; the headline is the longest median in seconds (smaller is better)."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from harness import Work, alternate, finish, parser, quartiles, run_python

ROOT = Path(__file__).resolve().parents[1]
HEAVIEST = 5
"""So many packages are named."""
MISTAKE = 2
"""Exit code of the commands after a mistake of the user's."""


class Question(NamedTuple):
    """What is asked, and the exit code of the answer."""

    arguments: list[str]
    exit_code: int = 0


def questions(folder: Path) -> dict[str, Question]:
    """All of them; their files are written into `folder`."""
    setting = folder / "bad.yaml"
    setting.write_text("experiments:\n  digits:\n    dataset: {name: digits, source: digits}\n    searhc: {}\n")
    for table in ("metrics", "comparison"):
        (folder / f"{table}.parquet").write_text("this is not a table")
    result = {
        "--help": Question(["-m", "enas_core.search", "--help"]),
        "wrong option": Question(["-m", "enas_core.search", "--wrong"], MISTAKE),
        "bad setting": Question(["-m", "enas_core.config", "--configfile", str(setting)], MISTAKE),
        "bad table": Question(["-m", "enas_core.compare", str(folder)], MISTAKE),
    }
    script = Path(sys.executable).with_name("enas")
    if script.exists():
        result["enas --version"] = Question([str(script), "--version"])
    elif (ROOT / "enas_core" / "__main__.py").exists():
        result["python -m enas_core --version"] = Question(["-m", "enas_core", "--version"])
    return result


def heaviest(import_times: str) -> str:
    """The packages that took longest by themselves, in what `python -X importtime` prints."""
    microseconds: Counter[str] = Counter()
    for line in import_times.splitlines():
        if line.startswith("import time:") and "[us]" not in line:
            itself, _, module = line.removeprefix("import time:").split("|")
            microseconds[module.strip().split(".")[0]] += int(itself)
    return ", ".join(f"{name} {count / 1e6:.2f} s" for name, count in microseconds.most_common(HEAVIEST))


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a question."""
    asked = questions(folder)

    def process(question: Question) -> Work:
        return lambda k: run_python(question.arguments, ROOT, folder, question.exit_code)

    times = alternate({name: process(question) for name, question in asked.items()}, options.rounds)
    result = []
    for name, question in asked.items():
        traced = run_python(["-X", "importtime", *question.arguments], ROOT, folder, question.exit_code)
        low, median, high = quartiles(times[name])
        row = {"what": name, "seconds": median, "low_quartile": low, "high_quartile": high, "rounds": len(times[name])}
        result.append(row | {"imports": heaviest(traced.output)})
    return result


def main(arguments: list[str] | None = None) -> None:
    options_parser = parser(__doc__, rounds=9)
    options_parser.formatter_class = argparse.RawDescriptionHelpFormatter
    options = options_parser.parse_args(arguments)
    if options.quick:
        options.rounds = min(options.rounds, 3)
    with tempfile.TemporaryDirectory(prefix="startup-") as folder:
        table = measure(Path(folder), options)
    finish(table, max(row["seconds"] for row in table), "startup", options)


if __name__ == "__main__":
    main()
