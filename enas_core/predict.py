"""Classes and probabilities of image files, by a trained network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from enas_core.console import UserError
from enas_core.data.pictures import FORMATS, read_image
from enas_core.options import Parser, run_stage
from enas_core.training.prediction import probabilities

if TYPE_CHECKING:
    pass


def _run(options: argparse.Namespace) -> None:
    import torch

    from enas_core.spaces.saved import load_network
    from enas_core.training.device import pick_device

    device = pick_device(options.device, torch.get_num_threads())
    network = load_network(options.network)
    if not 1 <= options.top <= len(network.classes):
        raise UserError(f"--top: {options.top} is out of range 1..{len(network.classes)}")
    size, channels = network.shape.image_size, network.shape.in_channels
    pictures = [read_image(path, size, channels) for path in options.images]
    top = probabilities(network, pictures, device).topk(options.top)
    for path, picture, values, indices in zip(options.images, pictures, top.values, top.indices, strict=True):
        found = ", ".join(f"{network.classes[i]} {p:.4f}" for i, p in zip(indices, values, strict=True))
        print(f"{path}: {found}" + (f" ({', '.join(picture.changes)})" if picture.changes else ""))


def main(arguments: list[str] | None = None) -> int:
    parser = Parser("predict", "Print class and probability (0..1) of image files, one line each.")
    parser.add_argument("network", type=Path, help="a trained network, e.g. results/cifar10/final.pt")
    parser.add_argument(
        "images",
        type=Path,
        nargs="+",
        help=f"image files ({', '.join(FORMATS)}); converted and resized as the network needs, which is said",
    )
    parser.add_argument("--top", type=int, default=1, help="classes to print, most likely first (default: %(default)s)")
    parser.add_device()
    return run_stage(parser, _run, arguments)


if __name__ == "__main__":
    sys.exit(main())
