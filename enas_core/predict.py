"""Command `predict`: classes and probabilities of images.

Reads a trained network, such as `final.pt`, and image files in any common format, or folders of them; prints a line for
each image, or writes a table. What cannot be read is said, and costs the others nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from enas_core.console import UserError, escaped, log
from enas_core.files.atomic import require_writable
from enas_core.files.pictures import FORMATS
from enas_core.files.tables import provenance, write_table
from enas_core.options import DEFAULT_DEVICE, Device, run_command

if TYPE_CHECKING:
    from enas_core.training.prediction import Answer


def predict(
    network: Annotated[Path, Parameter(help="a trained network, e.g. results/cifar10/final.pt")],
    images: Annotated[
        Sequence[Path],
        Parameter(
            help=f"image files ({', '.join(FORMATS)}), or folders of them; prepared as those that the network was"
            " trained on. Where a folder has sub-folders called like the classes, the accuracy is said"
        ),
    ],
    /,
    *,
    top: Annotated[int, Parameter(help="classes to give, most likely first")] = 1,
    out: Annotated[Path | None, Parameter(help="table to write (predictions.parquet) instead of lines")] = None,
    device: Device = DEFAULT_DEVICE,
) -> None:
    """Give class and probability (0..1) of images, in files or folders.

    Example: enas predict results/cifar10/final.pt cat.png dog.jpg --top 3
    """
    if out is not None:
        require_writable(out.parent)
    import torch

    from enas_core.spaces.saved import load_network
    from enas_core.training.device import describe_device, pick_device
    from enas_core.training.prediction import Tally, answers, listed, rows_of

    own_device = pick_device(device, torch.get_num_threads())
    trained = load_network(network)
    if not 1 <= top <= len(trained.classes):
        raise UserError(f"--top: {top} is out of range 1..{len(trained.classes)}")
    files = listed(images, trained.classes)
    tally = Tally(top)
    rows: list[dict[str, Any]] = []
    for answer in answers(trained, files, top, own_device):
        tally.add(answer)
        if answer.problem is not None:
            if len(files) == 1:
                raise UserError(answer.problem)
            log.warning("error: %s", answer.problem)
        if out is not None:
            rows += rows_of(answer)
        elif answer.problem is None:
            print(escaped(line_of(answer)))

    if not tally.read:
        raise UserError(f"none of {len(files)} images could be read")
    if out is not None:
        made_by = provenance(describe_device(own_device), trained.provenance.get("config_fingerprint", "unknown"))
        write_table(out, "predictions", rows, made_by | {"network": str(network)})
    if len(files) > 1 or out is not None:
        log.info("%s", tally)
    if out is None and tally.unreadable:
        raise UserError(f"{tally.unreadable} of {len(files)} images could not be read")


def line_of(answer: Answer) -> str:
    """What is printed of one image."""
    found = ", ".join(f"{name} {probability:.4f}" for name, probability in answer.classes)
    return f"{answer.file.name}: {found}" + (f" ({', '.join(answer.changes)})" if answer.changes else "")


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(predict, arguments)


if __name__ == "__main__":
    sys.exit(main())
