"""What a large comparison costs when all of its networks are trained: unlocking, comparing, figures, the page of the
experiment, Snakemake's report, running again with nothing to do, and planning.

    python benchmarks/large.py [--quick] [--sizes 100 1000 10000]

The results are made up (`made_up.py`: ten searches, so many random arcs, nothing is trained) in a temporary folder,
which is removed at the end. Each command runs once for each size, on as many cores as `--threads` says. `seconds` are
those that pass, `cpu_seconds` those of all processes, which a busy machine lengthens less; `peak_mb` is the memory of
the largest process. `exponent` is how cpu_seconds grow from the size before, on logarithmic axes: 1 is linear. `plan of
all` plans the whole experiment again and contains the calibration, which does not depend on the size.
Writes benchmarks/results/large.parquet; the headline is the seconds of the slowest command with 1,000 networks."""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

from harness import finish, parser, run_python

ROOT = Path(__file__).resolve().parents[1]
MADE_UP = Path(__file__).with_name("made_up.py")
SIZES = (100, 1_000, 10_000)
QUICK = (100, 1_000)
HEADLINE = 1_000
RESULTS = "results/large"
COMPARISON, REPORT_FILES = f"{RESULTS}/comparison.parquet", f"{RESULTS}/report/complete"
PAGE = f"{RESULTS}/report.html"
TARGETS = ["--", COMPARISON, REPORT_FILES, PAGE]
WORKFLOW = ["--snakefile", str(ROOT / "Snakefile")]


def commands(cores: int) -> dict[str, list[str]]:
    """What is measured, in the order in which a user would get there, as arguments for Python."""
    snakemake = ["-m", "snakemake", *WORKFLOW, "--configfile", "config.yaml"]
    run = [*snakemake, "--cores", str(cores), "--quiet", "all"]
    plan = ["-m", "enas_core.plan", COMPARISON, "--device", "cpu", "--", *WORKFLOW]
    return {
        "unlock": [*snakemake, "--unlock", *TARGETS],
        "compare": [*run, "--", COMPARISON],
        "figures": [*run, "--", REPORT_FILES],
        "page": [*run, "--", PAGE],
        "report": [*snakemake, "--report", "report.html", *TARGETS],
        "rerun": [*run, *TARGETS],
        "dry run": [*run, "--dry-run", *TARGETS],
        "plan": plan,
        "plan of all": [*plan, "--forceall"],
    }


def measure(networks: int, cores: int) -> list[dict[str, Any]]:
    """One row a command."""
    with tempfile.TemporaryDirectory(prefix="large-") as name:
        folder = Path(name)
        run_python([str(MADE_UP), name, str(networks)], ROOT, folder)
        table = []
        for what, arguments in commands(cores).items():
            done = run_python(arguments, ROOT, folder)
            row = {"networks": networks, "what": what, "seconds": done.seconds, "cpu_seconds": done.cpu_seconds}
            table.append(row | {"peak_mb": done.peak_megabytes})
            print(
                f"{networks} {what}: {done.seconds:.1f} s, {done.cpu_seconds:.1f} s of CPU,"
                f" {done.peak_megabytes:.0f} MB",
                flush=True,
            )
        for what, path in {"report (MB)": folder / "report.html", "page (MB)": folder / PAGE}.items():
            table.append({"networks": networks, "what": what, "size": megabytes(path)})
    return table


def megabytes(path: Path) -> float:
    """Size of a file."""
    return path.stat().st_size / 1e6


def with_exponents(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How each row has grown from the size before; none for the smallest size."""
    before: dict[str, dict[str, Any]] = {}
    result = []
    for row in table:
        grown = {}
        if row["what"] in before and "cpu_seconds" in row:
            smaller = before[row["what"]]
            ratio, sizes = row["cpu_seconds"] / smaller["cpu_seconds"], row["networks"] / smaller["networks"]
            grown["exponent"] = math.log(ratio) / math.log(sizes)
        result.append(row | grown)
        before[row["what"]] = row
    return result


def main(arguments: list[str] | None = None) -> None:
    options_parser = parser(__doc__, rounds=1)
    options_parser.formatter_class = argparse.RawDescriptionHelpFormatter
    options_parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of random arcs")
    options = options_parser.parse_args(arguments)
    table = []
    for networks in QUICK if options.quick else options.sizes:
        table += measure(networks, options.threads)
    slowest = [row["seconds"] for row in table if row["networks"] == HEADLINE and "seconds" in row]
    finish(with_exponents(table), max(slowest, default=math.nan), "large", options)


if __name__ == "__main__":
    main()
