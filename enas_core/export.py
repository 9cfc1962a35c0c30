"""Command `export`: a trained network as a file that runs without this project.

Reads a trained network, such as `final.pt`, and some prepared test images; writes `final.onnx`, or `final.pt2` for
torch alone, once its logits are the network's own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from enas_core.console import UserError, log
from enas_core.files.atomic import require_writable
from enas_core.options import run_command

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from enas_core.spaces.networks import Network

TEST_IMAGES = 70
"""Prepared images with which a file is checked, beside random ones."""


def export(
    network: Annotated[Path, Parameter(help="a trained network, e.g. results/cifar10/final.pt")],
    /,
    *,
    file_format: Annotated[
        Literal["onnx", "torch"], Parameter(name="--format", help="onnx, or a program of torch.export")
    ] = "onnx",
    pixels: Annotated[
        Literal["uint8", "float"], Parameter(help="the images that the file takes: of 0..255 or of 0..1")
    ] = "uint8",
    data: Annotated[
        Path | None,
        Parameter(
            help="folder that prepare_data has written, whose test images are used in the check as well (default: data"
            " beside the network, where it is there)"
        ),
    ] = None,
    out: Annotated[
        Path | None, Parameter(help="file to write (default: the network's name with .onnx or .pt2)")
    ] = None,
) -> None:
    """Write a trained network as a file that runs without this project, and check it.

    Example: enas export results/cifar10/final.pt --format onnx
    """
    import torch

    from enas_core.spaces.exported import SUFFIXES, export_network, require_packages
    from enas_core.spaces.saved import load_network
    from enas_core.training.device import pick_device

    pick_device("cpu", torch.get_num_threads())
    require_packages(file_format)
    trained = load_network(network)
    out = network.with_suffix(SUFFIXES[file_format]) if out is None else out
    require_writable(out.parent)
    images = test_images(trained, data or beside(network))
    difference = export_network(trained, out, file_format, pixels, images)
    tested = f"and {len(images)} test images" if len(images) else "images; no test images are there"
    log.info("%s: logits differ from the network's by %.1e at most, of random %s", out, difference, tested)


def beside(network: Path) -> Path | None:
    """The prepared images of the experiment that a network is of, where they are there."""
    folder = network.parent / "data"
    return folder if (folder / "manifest.json").is_file() else None


def test_images(network: Network, data: Path | None) -> NDArray[np.uint8]:
    """Some prepared test images [N, S, S, C]. Raises UserError where they are no images for this network."""
    import numpy as np
    import torch

    from enas_core.data.prepared import load_prepared

    form = network.form
    if data is None:
        return np.empty((0, form.size, form.size, form.channels), np.uint8)
    prepared = load_prepared(data, torch.device("cpu"), "always")
    manifest = prepared.manifest
    if (manifest.image_size, manifest.in_channels) != (form.size, form.channels):
        raise UserError(
            f"{data}: --data: holds images of {manifest.image_size} pixels and {manifest.in_channels} channels,"
            f" the network is for {form.size} and {form.channels}"
        )
    chosen = np.linspace(0, len(prepared.test) - 1, TEST_IMAGES).round().astype(int)
    return prepared.test.images[np.unique(chosen)].numpy()


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(export, arguments)


if __name__ == "__main__":
    sys.exit(main())
