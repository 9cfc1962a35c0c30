"""A trained network as a file that runs without this project: ONNX, or a program of `torch.export`.

The file's graph takes pixels as image files hold them and normalises them itself; its metadata says the rest. It is
made from the plain path, torch's own operators, and must give the same logits as the network before it takes its name.

Shapes: B images (any number), S pixels a side, C channels, K classes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from enas_core.console import RunError, UserError
from enas_core.files.atomic import atomic_path
from enas_core.files.pictures import MODES
from enas_core.files.tables import provenance
from enas_core.spaces.networks import Network
from enas_core.spaces.predicting import normalisation

FileFormat = Literal["onnx", "torch"]
SUFFIXES: dict[FileFormat, str] = {"onnx": ".onnx", "torch": ".pt2"}

Pixels = Literal["uint8", "float"]
"""What the graph takes, [B, S, S, C]: 0..255, or 0..1."""

INPUT, OUTPUT = "images", "logits"
METADATA = "metadata.json"
"""Where a program of `torch.export` has what ONNX calls metadata."""

TOLERANCE = 1e-4
"""So much may a logit differ from the network's own; where logits are larger than 1, this share of the largest one. The
logits of a network that has not learned may be of any size (tens of thousands behind 17 layers whose batch norms have
seen nothing yet), and single precision has seven digits."""

BATCHES = (1, 7)
"""Images in the batches that are compared."""

NEEDED = ("onnx", "onnxscript", "onnxruntime")

Run = Callable[[NDArray[np.generic]], NDArray[np.float32]]
"""Logits [B, K] of images [B, S, S, C]."""


class Normalising(nn.Module):
    """A network with its normalisation."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: Network, pixels: Pixels) -> None:
        super().__init__()
        self.network = network
        scale, shift = normalisation(network.mean, network.std)
        self.register_buffer("scale", scale if pixels == "uint8" else scale * 255)
        self.register_buffer("shift", shift)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, K] of pixels [B, S, S, C]."""
        return self.network(torch.addcmul(self.shift, images.to(self.scale.dtype), self.scale).permute(0, 3, 1, 2))


def require_packages(file_format: FileFormat) -> None:
    """Raise UserError, one line, unless what a format needs is installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if file_format == "onnx" and missing:
        raise UserError(f"--format onnx needs {', '.join(missing)}: pip install 'enas-workflow[export]'")


def export_network(
    network: Network, out: Path, file_format: FileFormat, pixels: Pixels, images: NDArray[np.uint8]
) -> float:
    """Write a network, as `load_network` gives it, to `out`. Returns by how much the file's logits differ at most from
    the network's, of some random images and of `images` (uint8 [N, S, S, C]). Raises RunError, and writes nothing, when
    that is more than `TOLERANCE`."""
    require_packages(file_format)
    with _quietly():
        program = _program(network, pixels)
        with atomic_path(out) as temporary:
            run = _write_onnx if file_format == "onnx" else _write_program
            return _require_equal(network, run(program, metadata(network, pixels), temporary), pixels, images, out)


def metadata(network: Network, pixels: Pixels) -> dict[str, str]:
    """What a file says of itself; lists are JSON."""
    shape, made_by = network.shape, provenance("cpu", network.provenance.get("config_fingerprint", "unknown"))
    size = shape.image_size
    span = "0..255" if pixels == "uint8" else "0..1"
    return {
        "description": f"takes {pixels} images of {span}, [batch, {size}, {size}, {shape.in_channels}], gives logits",
        "classes": json.dumps(network.classes, ensure_ascii=False),
        "image_size": str(size),
        "resize_to": str(network.resize_to),
        "mode": MODES[shape.in_channels],
        "mean": json.dumps(network.mean),
        "std": json.dumps(network.std),
        "space": network.space,
        "arc": str(network.arc),
        "experiment": network.experiment,
        "dataset": network.dataset,
        "test_accuracy": str(network.test_accuracy),
        "trained_by": json.dumps(network.provenance),
        **{name: made_by[name] for name in ("enas_version", "git_commit", "torch_version")},
    }


def _program(network: Network, pixels: Pixels) -> torch.export.ExportedProgram:
    """The graph, for any number of images."""
    shape = network.shape
    dtype = torch.uint8 if pixels == "uint8" else torch.float32
    example = torch.zeros(2, shape.image_size, shape.image_size, shape.in_channels, dtype=dtype)
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        program = torch.export.export(Normalising(network, pixels).eval(), (example,), dynamic_shapes=({0: batch},))
    for step in program.graph.nodes:
        step.meta.pop("stack_trace", None)  # lines of this project's files, with their paths on this machine
    return program


def _write_onnx(program: torch.export.ExportedProgram, facts: dict[str, str], path: Path) -> Run:
    """As ONNX; returns what onnxruntime makes of the written file."""
    import onnxruntime

    found = torch.onnx.export(program, input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False)
    assert found is not None
    versions = {f"{name}_version": importlib.metadata.version(name) for name in NEEDED}
    for step in found.model.graph.all_nodes():
        step.metadata_props.clear()  # from where in the network it comes: more bytes than a small network has
    found.model.metadata_props.update(facts | versions)
    found.save(path, external_data=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait leave their core
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run([OUTPUT], {INPUT: images})[0]


def _write_program(program: torch.export.ExportedProgram, facts: dict[str, str], path: Path) -> Run:
    """As `torch.export` saves it; returns what the written file computes."""
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={METADATA: json.dumps(facts, ensure_ascii=False)})
    with path.open("rb") as written:
        module = torch.export.load(written).module()

    @torch.no_grad()
    def run(images: NDArray[np.generic]) -> NDArray[np.float32]:
        return module(torch.from_numpy(images)).numpy()

    return run


def _require_equal(network: Network, run: Run, pixels: Pixels, images: NDArray[np.uint8], out: Path) -> float:
    """The largest difference of a logit. Raises RunError when it is too large."""
    largest = 0.0
    for batch in _batches(network, images):
        found = torch.from_numpy(run(batch if pixels == "uint8" else batch.astype(np.float32) / 255))
        with torch.no_grad():
            expected = network(network.normalised(torch.from_numpy(batch)))
        difference = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
        allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
        if not difference <= allowed:  # NaN is not
            raise RunError(
                f"{out}: not written: its logits differ from the network's by {difference:.2g} for a batch of"
                f" {len(batch)} images, {allowed:.2g} is allowed"
            )
        largest = max(largest, difference)
    return largest


def _batches(network: Network, images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Random images and given ones, in batches of `BATCHES`."""
    size, channels = network.shape.image_size, network.shape.in_channels
    random = np.random.default_rng(0).integers(0, 256, (max(BATCHES), size, size, channels), np.uint8)
    for part in (random, images):
        for count in BATCHES:
            for start in range(0, len(part), count):
                yield np.ascontiguousarray(part[start : start + count])


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the libraries say of their own development."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
