"""Memory and speed with a user's own images: generated photographs are prepared from a folder of JPEG files, and a
supernet is trained on them, resident and streamed.

`anonymous_mb` is the peak of what a process holds beside the system's cache of files (RssAnon), read many times a
second. It must not grow with the number of images: the headline is the largest growth from the smaller number of them
to the larger one. `file_mb` is the peak of mapped files, which the system takes back when it needs the memory."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from harness import finish, parser
from PIL import Image

SIZE, CLASSES = 128, 4
COUNTS, QUICK_COUNTS = (5_000, 20_000), (500, 2_000)
STEPS = 30
LIMIT_MB = 1500
FULL = 100_000, 224
"""Number and size of images of which the memory is computed from what was measured."""


def write_photographs(folder: Path, count: int) -> None:
    """JPEG files of 150 to 250 pixels a side, few of which differ: it is decoding that takes time."""
    generator = np.random.default_rng(0)
    contents = []
    for _ in range(50):
        height, width = generator.integers(150, 251, 2)
        coarse = generator.integers(0, 256, (8, 8, 3), np.uint8)
        path = folder / "one.jpg"
        Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC).save(path, quality=90)
        contents.append(path.read_bytes())
        path.unlink()
    for part, number in (("train", count), ("test", count // 10)):
        for i in range(number):
            path = folder / part / f"class {i % CLASSES}" / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[i % len(contents)])


@contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """Peaks of this process's anonymous and mapped memory, megabytes, known at the end."""
    peaks = {"anonymous_mb": 0.0, "file_mb": 0.0}
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.01):
            status = Path("/proc/self/status").read_text()
            for name, field in (("anonymous_mb", "RssAnon"), ("file_mb", "RssFile")):
                kilobytes = int(re.findall(rf"{field}:\s*(\d+) kB", status)[0])
                peaks[name] = max(peaks[name], kilobytes / 1000)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        stop.set()
        thread.join()


def prepared(photographs: Path, out: Path) -> dict[str, float]:
    """What preparing costs."""
    from enas_core.data.prepare import prepare
    from enas_core.settings.dataset import Source
    from enas_core.settings.stages import PrepareDataStage

    source = Source(name="generated", source="folder", image_size=SIZE)
    with peak_memory() as peaks:
        began = time.perf_counter()
        manifest = prepare(PrepareDataStage(experiment="x", dataset=source), photographs, out)
        seconds = time.perf_counter() - began
    images = manifest["images"]["train"] + manifest["images"]["test"]
    return {**peaks, "images_per_second": images / seconds}


def trained(data: Path, on_device: str, threads: int) -> dict[str, float]:
    """What some steps and evaluations of a search cost, and what is left of them to compare."""
    import torch

    from enas_core.settings.stages import SearchStage, stage_settings
    from enas_core.settings.workflow import parse_workflow
    from enas_core.training.device import pick_device
    from enas_core.training.images import load_images
    from enas_core.training.supernet import SupernetTraining

    device = pick_device("cpu", threads)
    small = {"num_layers": 1, "num_filters": 4, "batch_size": 32, "stem": "strided", "aux_head": False}
    raw = {"dataset": {"name": "generated", "source": "folder"}, "search": small | {"valid_images": 100}}
    settings = stage_settings("x", parse_workflow({"experiments": {"x": raw}}).experiments["x"], "search")
    assert isinstance(settings, SearchStage)

    class Watch:
        """Ends the epoch after some steps."""

        steps = 0

        def step(self) -> None:
            self.steps += 1
            if self.steps == STEPS:
                raise StopIteration

        def save(self) -> None:
            """Nothing is saved."""

    with peak_memory() as peaks:
        training = SupernetTraining(settings, load_images(settings, data, device, on_device), 0, device)
        training.at.start_clock()
        began = time.perf_counter()
        watch = Watch()
        with suppress(StopIteration):
            training.train_children(watch)
        seconds = time.perf_counter() - began
        training.mean_accuracy(training.train_split.part(0, 500), "valid", Watch())
    loss = float(torch.stack([p.detach().double().sum() for p in training.supernet.parameters()]).sum())
    return {**peaks, "images_per_second": watch.steps * settings.search.batch_size / seconds, "result": loss}


def in_own_process(work: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """So that memory is of this work alone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def measure(folder: Path, count: int, threads: int) -> list[dict[str, Any]]:
    """Rows of one number of images."""
    write_photographs(folder / "photographs", count)
    rows = [{"what": "prepare", "images": count, **in_own_process(prepared, folder / "photographs", folder / "data")}]
    shutil.rmtree(folder / "photographs")
    for on_device in ("always", "never"):
        found = in_own_process(trained, folder / "data", on_device, threads)
        rows.append({"what": f"train, data_on_device: {on_device}", "images": count, **found})
    return rows


def computed(few_mb: float, many_mb: float, counts: tuple[int, int], training_mb: float) -> str:
    """What `FULL` needs, from the growth of preparing and the most of any training."""
    number, size = FULL
    slope = (many_mb - few_mb) / (counts[1] - counts[0])
    preparing = many_mb + slope * (number - counts[1])
    return (
        f"computed for {number} images of {size} pixels: {number * size * size * 3 / 1e9:.1f} GB of files, mapped;"
        f" anonymous memory to prepare {preparing:.0f} MB (and one photograph a core), to train {training_mb:.0f} MB as"
        f" measured, what larger maps take aside, and {32 * number / 1e6:.0f} MB for the draws of an epoch"
    )


def main() -> None:
    options = parser(__doc__, rounds=1).parse_args()
    table = []
    counts = QUICK_COUNTS if options.quick else COUNTS
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="images-") as folder:
            (Path(folder) / "photographs").mkdir()
            table += measure(Path(folder), count, options.threads)
    few, many = ({row["what"]: row["anonymous_mb"] for row in table if row["images"] == count} for count in counts)
    growth = max(many[what] / few[what] for what in few)
    print(computed(few["prepare"], many["prepare"], counts, max(many.values())))
    for row in table:
        row["below_limit"] = row["anonymous_mb"] < LIMIT_MB
    finish(table, growth, "images_memory", options)


if __name__ == "__main__":
    main()
