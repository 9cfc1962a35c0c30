"""What all benchmarks share: modes measured in turn in one run, one table, a Parquet file, the headline ratio."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

RESULTS = Path(__file__).parent / "results"


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Options of every benchmark."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--quick", action="store_true", help="few rounds, under two minutes")
    options.add_argument("--rounds", type=int, default=rounds, help="rounds, each with every mode (%(default)s)")
    options.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    options.add_argument("--out", type=Path, help="Parquet file (default: benchmarks/results/NAME.parquet)")
    return options


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call, the device's work included."""
    synchronise()
    started = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - started


def synchronise() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def alternate(modes: dict[str, Callable[[int], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each mode in each round, after one round to warm up; mode(round) does the work. All modes do the
    same round one after the other, so that what slows the machine slows them alike."""
    for mode in modes.values():
        mode(0)
    times: dict[str, list[float]] = {name: [] for name in modes}
    for k in range(rounds):
        for name, mode in modes.items():
            times[name].append(seconds(lambda mode=mode, k=k: mode(k)))
    return times


def rows(what: str, times: dict[str, list[float]], yardstick: str, images: int = 0) -> list[dict[str, object]]:
    """One row a mode: median, quartiles, and the median over rounds of the ratio to the yardstick's time."""
    result = []
    for name, values in times.items():
        low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
        ratios = [slow / fast for slow, fast in zip(times[yardstick], values, strict=True)]
        result.append(
            {
                "what": what,
                "mode": name,
                "median_ms": 1e3 * median,
                "low_quartile_ms": 1e3 * low,
                "high_quartile_ms": 1e3 * high,
                "images_per_second": images / median if images else None,
                "ratio": statistics.median(ratios),
                "rounds": len(values),
            }
        )
    return result


def finish(table: list[dict[str, object]], ratio: float, name: str, options: argparse.Namespace) -> None:
    """Print the table and the headline ratio, and write the table."""
    frame = pd.DataFrame(table)
    out = options.out or RESULTS / f"{name}.parquet"
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(out)
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    print(f"ratio={ratio:.2f}")
