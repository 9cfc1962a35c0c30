"""Print an arc in all its forms, with the size of its network, and draw its cells."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field

from enas_core.console import UserError
from enas_core.fields import Settings
from enas_core.files.atomic import write_text
from enas_core.options import Parser, run_stage
from enas_core.settings.dataset import DATASETS
from enas_core.settings.stages import from_options
from enas_core.settings.training import Augment
from enas_core.spaces.micro.arc import MicroArc as Arc
from enas_core.spaces.micro.drawing import draw
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.space import NetworkShape

_CIFAR = DATASETS["cifar10"]


class NetworkSize(Settings):
    """The stand-alone network whose parameters and MACs are counted."""

    layers: Annotated[int, Augment.model_fields["num_layers"]]
    filters: Annotated[int, Augment.model_fields["num_filters"]]
    image_size: Annotated[int, Field(ge=4, le=4096)] = _CIFAR.size
    channels: Annotated[int, Field(ge=1, le=1024)] = _CIFAR.channels
    classes: Annotated[int, Field(ge=2, le=1_000_000)] = _CIFAR.classes


HELP = {
    "layers": "normal cells; two reduction cells come on top",
    "filters": "channels of the first cells' nodes",
    "image_size": "side of the square images, pixels",
    "channels": "channels of the images",
    "classes": "number of classes",
}


def read_arc(text: str) -> Arc:
    """An arc from its integer form, or from a file that holds it. Raises UserError, one line."""
    if os.path.isfile(text):
        try:
            return Arc.parse(Path(text).read_text(encoding="ascii"))
        except ValueError as error:
            raise UserError(f"{text}: {error}") from None
    if len(text.split()) == 1 and not text.strip().isdigit():
        raise UserError(f"{text}: neither an arc in quotes nor a file")
    return Arc.parse(text)


def count(arc: Arc, size: NetworkSize) -> tuple[int, int | None, int]:
    """Parameters without the auxiliary head, the head's own (None where images are too small for one), and
    multiply-accumulates for one image, of the network built without memory on torch's meta device."""
    from enas_core.spaces.measure import arc_size

    shape = NetworkShape(
        num_layers=size.layers,
        num_filters=size.filters,
        image_size=size.image_size,
        in_channels=size.channels,
        num_classes=size.classes,
        aux_head=size.image_size // 4 >= 5,
    )
    space, _ = Micro.of_text(str(arc))
    counted = arc_size(space, arc, shape)
    return counted.params, counted.aux_params if shape.aux_head else None, counted.macs


def describe(arc: Arc, size: NetworkSize) -> list[str]:
    """Lines for a terminal."""
    params, aux, macs = count(arc, size)
    head = "none, it needs images of at least 20x20" if aux is None else f"{aux:,} more, in training only"
    images = f"images {size.image_size}x{size.image_size}x{size.channels}, {size.classes} classes"
    return [
        f"arc             {arc}",
        f"genotype        {arc.genotype()}",
        f"json            {arc.to_json()}",
        f"network         {size.layers} + 2 layers, {size.filters} filters, {images}",
        f"parameters      {params:,}",
        f"auxiliary head  {head}" + ("" if aux is None else f" ({params + aux:,} together)"),
        f"MACs            {macs:,} for one image",
    ]


def _run(options: argparse.Namespace) -> None:
    arc = read_arc(options.arc)
    size = from_options(NetworkSize, {name: getattr(options, name) for name in HELP})
    lines = describe(arc, size)
    write_text(options.svg, draw(arc))
    print("\n".join([*lines, f"picture         {options.svg}"]))


def main(arguments: list[str] | None = None) -> int:
    parser = Parser("show_arc", "Print an arc with its network's parameters and MACs, and draw both cells.")
    parser.add_argument("arc", help='the integers in quotes ("0 2 0 0 ..."), or a file that holds them (arcs/NAME.txt)')
    for name, field in NetworkSize.model_fields.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=field.default, help=f"{HELP[name]} (default: %(default)s)")
    parser.add_argument("--svg", type=Path, default=Path("arc.svg"), help="picture to write (default: %(default)s)")
    return run_stage(parser, _run, arguments)


if __name__ == "__main__":
    sys.exit(main())
