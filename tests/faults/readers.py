"""Every reader of a file, for the fuzzer: a reader that is added later joins it by a line in `READERS`.

A reader takes a file that may be anything. `write` makes a valid one, `read` reads it and gives a value that can be
compared, `functions` are the functions of this project that open it (test_readers.py looks for ones that are missing).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import trials
from PIL import Image
from rows import row_of

from enas_core.data.manifest import read_manifest
from enas_core.data.own_parquet import list_parquet
from enas_core.data.prepared import load_prepared
from enas_core.files.pictures import Form, read_image
from enas_core.files.progress import Progress, read_progress, write_progress
from enas_core.files.reading import read_bytes
from enas_core.files.schemas import TABLES
from enas_core.files.tables import provenance, read_provenance, read_table, table_identity, write_table
from enas_core.planning.run_times import RunTime, read_run_times, save_run_times
from enas_core.settings.revisions import what_is_stale
from enas_core.settings.stages import STAGES, read_stage
from enas_core.settings.workflow import load_workflow
from enas_core.spaces import space_class
from enas_core.spaces.saved import (
    load_network,
    load_supernet,
    load_untrained,
    read_confusion,
    save_network,
    save_supernet,
)
from enas_core.spaces.space import NetworkShape
from enas_core.training.checkpoint import StateDirectory

SPACE, ARC = space_class("micro").of_text("0 1 0 2 " * 2)
SHAPE = NetworkShape(num_layers=1, num_filters=2, image_size=8, in_channels=1, num_classes=2, aux_head=False)


@dataclasses.dataclass(frozen=True)
class Reader:
    """One way in which a file is read."""

    write: Callable[[Path, Path], object]
    """Make a valid file at the first path; the second is the folder of `trials.write_inputs`."""
    read: Callable[[Path], Any]
    functions: tuple[str, ...]
    suffix: str = ""
    """Of the file's name, where it matters; the whole name where it has a dot before its end."""
    checksum: bool = False
    """Whether a file that was changed can only be refused, or read as it was."""


def copied(name: str) -> Callable[[Path, Path], object]:
    return lambda path, inputs: shutil.copy(inputs / name, path)


def write_arc(path: Path, inputs: Path) -> None:
    path.write_text(f"{ARC}\n")


def write_rows(kind: str, path: Path, inputs: Path) -> None:
    made_by = provenance("cpu", "abc", {"experiment": "x"}) | {"run": "r", "role": "random", "params": 5, "macs": 7}
    write_table(path, kind, [row_of(kind), row_of(kind)], made_by)


def write_network(path: Path, inputs: Path) -> None:
    torch.manual_seed(0)
    facts = {"classes": ["a", "b"], "mean": [0.5], "std": [0.5], "experiment": "x", "dataset": "digits"}
    facts |= {
        "test_accuracy": 0.5,
        "resize_to": 8,
        "confusion": [[1, 2], [3, 4]],
        "provenance": provenance("cpu", "abc"),
    }
    network = SPACE.network(ARC, SHAPE)
    for value in network.parameters():
        value.data.normal_()
    save_network(path, network, facts)


def network_values(path: Path) -> Any:
    network = load_network(path)
    facts = {name: getattr(network, name) for name in ("classes", "mean", "std", "test_accuracy", "resize_to")}
    return facts | {name: value.tolist() for name, value in network.state_dict().items()}


def write_supernet(path: Path, inputs: Path) -> None:
    torch.manual_seed(0)
    supernet = SPACE.supernet(SHAPE)
    for value in supernet.parameters():
        value.data.normal_()
    save_supernet(path, supernet, {"baseline": 0.5, "steps": 3})


def supernet_values(path: Path) -> Any:
    supernet = SPACE.supernet(SHAPE)
    state = load_supernet(path, supernet)
    return repr(state), [value.tolist() for value in supernet.state_dict().values()]


def write_state(path: Path, inputs: Path) -> None:
    states = StateDirectory(path.parent, "run")
    states.save({"values": torch.arange(4.0), "rows": [{"epoch": 0}]})


def state_values(path: Path) -> Any:
    """None where the state is passed over, which costs the work since the one before."""
    found = StateDirectory(path.parent, "run").load()
    return None if found is None else repr(found)


def prepared(path: Path) -> Any:
    data = load_prepared(path.parent, torch.device("cpu"))
    return [data.manifest, *(values.tolist() for part in data[:2] for values in (part.images, part.labels))]


def write_beside(name: str, path: Path, inputs: Path) -> None:
    """A file of the prepared images, all of which are there."""
    shutil.copytree(inputs / "data", path.parent, dirs_exist_ok=True)


def write_image(form: str, path: Path, inputs: Path) -> None:
    pixels = np.arange(12 * 12 * 3, dtype=np.uint8).reshape(12, 12, 3)
    Image.fromarray(pixels).save(path, form)


def write_own(path: Path, inputs: Path) -> None:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    images = pa.array([{"bytes": b"image", "path": None}] * 4, kind)
    pq.write_table(pa.table({"image": images, "label": pa.array([0, 1, 0, 1])}), path)


def own_values(path: Path) -> Any:
    found = list_parquet("mine", path.parent, None)
    return found.classes, [
        (part.labels.tolist(), [image.read() for image in part.images()]) for part in found.parts.values()
    ]


def write_facts(path: Path, inputs: Path) -> None:
    facts = {"state": "running", "epochs": 3, "rows": [], "step": 1, "steps": 5, "seconds": 1.5, "memory": None}
    write_progress(path, Progress.model_validate(facts | {"device": "cpu", "host": "here"}))


def write_times(path: Path, inputs: Path) -> None:
    save_run_times(path, {"x": {"search": RunTime(seconds=1.5, conditions="abc", device="cpu")}})


def write_config(path: Path, inputs: Path) -> None:
    path.write_text(json.dumps({"experiments": {"tiny": trials.EXPERIMENT}}, indent=1))


def stale(path: Path) -> Any:
    return what_is_stale(path.parents[1], path.stem)


TABLE = ("files.tables._opened",)
SAVED = ("spaces.saved.read_torch_file", "files.plain.load_plain")
ARRAYS = ("data.arrays.file_sha256", "data.arrays._mapped", "data.prepared._read_verified")

READERS: dict[str, Reader] = {
    "config.yaml": Reader(write_config, load_workflow, ("settings.yaml_file.read_yaml",)),
    **{
        f"settings of {stage}": Reader(
            copied(f"config/{stage}.json"), partial(read_stage, model=model), ("settings.stages.read_stage",)
        )
        for stage, model in STAGES.items()
    },
    "revision of settings": Reader(
        copied("config/search.json"), stale, ("settings.revisions._revision_in",), "config/search.json"
    ),
    "manifest": Reader(copied("data/manifest.json"), read_manifest, ("data.manifest.read_manifest",)),
    "manifest beside images": Reader(partial(write_beside, ""), prepared, ARRAYS, "data/manifest.json"),
    "images": Reader(partial(write_beside, ""), prepared, ARRAYS, "data/test_images.npy", checksum=True),
    "labels": Reader(partial(write_beside, ""), prepared, ARRAYS, "data/test_labels.npy", checksum=True),
    "arc": Reader(write_arc, space_class("micro").read_any, ("spaces.space._read",)),
    **{f"table {kind}": Reader(partial(write_rows, kind), partial(read_table, kind=kind), TABLE) for kind in TABLES},
    "provenance": Reader(partial(write_rows, "augment_epochs"), read_provenance, TABLE),
    "identity": Reader(partial(write_rows, "augment_epochs"), table_identity, TABLE),
    "network": Reader(write_network, network_values, SAVED),
    "network without values": Reader(write_network, lambda path: str(load_untrained(path).arc), SAVED),
    "answers": Reader(write_network, lambda path: repr(read_confusion(path)), SAVED),
    "copied network": Reader(write_network, read_bytes, ("final.copy_network",)),
    "supernet": Reader(write_supernet, supernet_values, SAVED),
    "state": Reader(
        write_state,
        state_values,
        ("training.checkpoint.StateDirectory._read", "files.plain.load_plain"),
        "state/current.state",
        checksum=True,
    ),
    "PNG image": Reader(
        partial(write_image, "PNG"),
        lambda path: read_image(path, Form(3, 8, 8)).pixels.tolist(),
        ("files.pictures.read_image", "files.pictures.decode"),
    ),
    "JPEG image": Reader(
        partial(write_image, "JPEG"),
        lambda path: read_image(path, Form(1, 8, 8)).pixels.tolist(),
        ("files.pictures.read_image", "files.pictures.decode"),
    ),
    "own images in Parquet": Reader(
        write_own,
        own_values,
        ("data.own_parquet._features", "data.own_parquet._labels", "data.own_parquet._contents"),
        "own/train.parquet",
    ),
    "progress": Reader(write_facts, read_progress, ("files.progress.read_progress",)),
    "run times": Reader(write_times, read_run_times, ("planning.run_times.read_run_times",)),
}
