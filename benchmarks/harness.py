"""What all benchmarks share: modes measured in turn in one run, fresh processes, one table, a Parquet file, the
headline ratio."""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

RESULTS = Path(__file__).parent / "results"

Work = Callable[[int], object]
"""What is measured: called with the number of the round."""

Row = dict[str, Any]
"""A row of a table, by the names of its columns."""


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Options of every benchmark."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--quick", action="store_true", help="few rounds, at most three minutes on two cores")
    options.add_argument("--rounds", type=int, default=rounds, help="rounds, each with every mode (%(default)s)")
    options.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    options.add_argument("--out", type=Path, help="Parquet file (default: benchmarks/results/NAME.parquet)")
    return options


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call, the GPU's work included."""
    synchronise()
    started = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - started


def synchronise() -> None:
    """Wait for the GPU, if there is one. A script that has not imported torch only starts processes and stays small,
    since the peak memory that the system reports of a process includes its parent's."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Low quartile, median and high quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def alternate(modes: Mapping[str, Work], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each mode in each round, after `warm_up` rounds that do not count. In a round all modes do the
    same work one after the other, so that what slows the machine slows them alike."""
    times: dict[str, list[float]] = {name: [] for name in modes}
    for k in range(-warm_up, rounds):
        for name, mode in modes.items():
            elapsed = seconds(functools.partial(mode, max(k, 0)))
            if k >= 0:
                times[name].append(elapsed)
    return times


def rows(what: str, times: dict[str, list[float]], yardstick: str, images: int = 0) -> list[Row]:
    """One row a mode: median, quartiles, and the median over rounds of the ratio to the yardstick's time.
    `images`: how many a round processes, for images/s."""
    result = []
    for name, values in times.items():
        low, median, high = quartiles(values)
        ratios = [slow / fast for slow, fast in zip(times[yardstick], values, strict=True)]
        row: Row = {
            "what": what,
            "mode": name,
            "median_ms": 1e3 * median,
            "low_quartile_ms": 1e3 * low,
            "high_quartile_ms": 1e3 * high,
            "rounds": len(values),
            "ratio": statistics.median(ratios),
        }
        result.append(row | ({"images_per_second": images / median} if images else {}))
    return result


def peak_megabytes(build: Callable[..., Work], *arguments: object, rounds: Sequence[int] = (2, 2)) -> float:
    """Peak resident memory of a fresh process that builds a mode and does `rounds`. To be called before this
    process grows: a child starts with its parent's size."""
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[float] = context.Queue()
    process = context.Process(target=_report_peak, args=(answer, rounds, build, *arguments))
    process.start()
    peak = answer.get(timeout=600)
    process.join()
    return peak


def _report_peak(
    answer: multiprocessing.Queue[float], rounds: Sequence[int], build: Callable[..., Work], *arguments: object
) -> None:
    work = build(*arguments)
    for k in rounds:
        work(k)
    answer.put(_megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def _megabytes(maxrss: int) -> float:
    """The system's figure is in KB, on a Mac in bytes."""
    return maxrss / (2**20 if sys.platform == "darwin" else 2**10)


class Finished(NamedTuple):
    """A process that has ended as expected."""

    seconds: float
    peak_megabytes: float
    output: str
    cpu_seconds: float
    """Of the process and those that it has waited for."""


def run_python(arguments: Sequence[str], code: Path, folder: Path, expected: int = 0) -> Finished:
    """Run `python ARGUMENTS` in `folder`, with `code` before all installed packages. Raises SystemExit unless its exit
    code is the `expected` one."""
    # As the workflow's rules have it: threads that wait leave the cores to others.
    environment = os.environ | {"PYTHONPATH": str(code), "OMP_WAIT_POLICY": "PASSIVE"}
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        command = [sys.executable, *arguments]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # Ctrl-C: the caller removes the folder, which must not be in use then.
            process.terminate()
            process.wait()
            raise
        elapsed = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode != expected:
        shown = shlex.join(["python", *arguments])
        raise SystemExit(f"exit code {process.returncode} instead of {expected}, with {code}: {shown}\n{text[-3000:]}")
    return Finished(elapsed, _megabytes(usage.ru_maxrss), text, usage.ru_utime + usage.ru_stime)


def finish(table: list[Row], ratio: float, name: str, options: argparse.Namespace) -> None:
    """Print the table and the headline ratio, and write the table."""
    frame = pd.DataFrame(table)
    out = options.out or RESULTS / f"{name}.parquet"
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(out)
    print(frame.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}"))
    print(f"ratio={ratio:.3g}")
