"""Classes and probabilities of image files, by a trained network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from enas_core.cli import Parser, run_stage

if TYPE_CHECKING:
    import torch

    from enas_core.network import Network

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for a network's number of channels."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow reads some others with external programs, PostScript, a programming language, among them."""

BATCH = 100


class Picture(NamedTuple):
    """`pixels` uint8 [size, size, channels]; `changes`: what was done to the file's image to make them."""

    pixels: np.ndarray
    changes: list[str]


def read_image(path: Path, size: int, channels: int) -> Picture:
    """An image file as the network needs it. Raises ValueError, one line, when it is not a readable one."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            mode = image.mode
            upright = ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except Exception as error:  # Pillow's decoders raise many kinds of errors on damaged files
        raise ValueError(f"{path}: not a readable image: {' '.join(str(error).split())[:150]}") from None
    if mode == "F":
        raise ValueError(f"{path}: an image of floating-point numbers, whose range is unknown; 8 or 16 bits are needed")
    changes = []
    if (converted := _convert(upright, MODES[channels])).mode != mode:
        white = ", transparency on white" if upright.has_transparency_data else ""
        changes.append(f"converted from {mode} to {MODES[channels]}{white}")
    if converted.size != (size, size):
        changes.append(f"resized from {converted.width}x{converted.height} to {size}x{size}")
        converted = converted.resize((size, size), Image.Resampling.BILINEAR)
    return Picture(np.asarray(converted).reshape(size, size, channels), changes)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Grey or RGB, transparent parts on white, 16 bits reduced to 8 (Pillow would clip them)."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def probabilities(network: Network, pictures: list[Picture], device: torch.device) -> torch.Tensor:
    """Probability of each class, [pictures, classes]."""
    import torch

    mean, std = torch.tensor(network.mean, device=device), torch.tensor(network.std, device=device)
    network.to(device)
    results = []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            pixels = np.stack([picture.pixels for picture in pictures[start : start + BATCH]])
            images = (torch.from_numpy(pixels).to(device) / 255 - mean) / std.clamp_min(1e-8)
            results.append(network(images.permute(0, 3, 1, 2)).softmax(1).cpu())
    return torch.cat(results)


def _run(options: argparse.Namespace) -> None:
    import torch

    from enas_core.engine import pick_device
    from enas_core.network import load

    device = pick_device(options.device, torch.get_num_threads())
    network = load(options.network)
    if not 1 <= options.top <= len(network.classes):
        raise ValueError(f"--top: {options.top} is out of range 1..{len(network.classes)}")
    size, channels = network.settings["image_size"], network.settings["in_channels"]
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
