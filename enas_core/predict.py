"""Command `predict`: classes and probabilities of image files.

Reads a trained network, such as `final.pt`, and images in any common format; prints a line for each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError
from enas_core.data.pictures import FORMATS, read_image
from enas_core.options import DEFAULT_DEVICE, Device, run_command


def predict(
    network: Annotated[Path, Parameter(help="a trained network, e.g. results/cifar10/final.pt")],
    images: Annotated[
        Sequence[Path],
        Parameter(
            help=f"image files ({', '.join(FORMATS)}); converted and resized as the network needs, which is said"
        ),
    ],
    /,
    *,
    top: Annotated[int, Parameter(help="classes to print, most likely first")] = 1,
    device: Device = DEFAULT_DEVICE,
) -> None:
    """Print class and probability (0..1) of image files, one line each.

    Example: enas predict results/cifar10/final.pt cat.png dog.jpg --top 3
    """
    import torch

    from enas_core.spaces.saved import load_network
    from enas_core.training.device import pick_device
    from enas_core.training.prediction import likeliest

    own_device = pick_device(device, torch.get_num_threads())
    trained = load_network(network)
    if not 1 <= top <= len(trained.classes):
        raise UserError(f"--top: {top} is out of range 1..{len(trained.classes)}")
    size, channels = trained.shape.image_size, trained.shape.in_channels
    pictures = [read_image(path, size, channels) for path in images]
    for path, picture, classes in zip(images, pictures, likeliest(trained, pictures, top, own_device), strict=True):
        found = ", ".join(f"{name} {probability:.4f}" for name, probability in classes)
        print(f"{path}: {found}" + (f" ({', '.join(picture.changes)})" if picture.changes else ""))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(predict, arguments)


if __name__ == "__main__":
    sys.exit(main())
