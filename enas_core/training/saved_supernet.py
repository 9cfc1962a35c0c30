"""The supernet: one set of shared weights for all arcs. A child is the path that one arc takes.

Its cells differ from the stand-alone network's: every operation has stride 1, the states that no node
reads go through a 1x1 convolution, reduction happens before a reduction cell, and batch norm always uses
batch statistics (Pham et al. 2018, section 2.3; `_enas_layer` and `_enas_cell` of `micro_child.py`).
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from enas_core.console import UserError
from enas_core.spaces.micro.supernet import Supernet
from enas_core.spaces.saved import read_torch_file, write_torch_file

FILE_FORMAT = 1


def save_supernet(path: Path, supernet: Supernet, controller: dict[str, Tensor]) -> None:
    """Write the shared weights and the controller's state atomically."""
    content = {
        "format": FILE_FORMAT,
        "supernet": {name: value.cpu() for name, value in supernet.state_dict().items()},
        "controller": controller,
    }
    write_torch_file(path, content)


def load_supernet(path: Path, supernet: Supernet, controller: nn.Module) -> None:
    """Read the shared weights and the controller's. Raises UserError, one line, when `path` does not hold them."""
    content = read_torch_file(path, "supernet", FILE_FORMAT)
    try:
        supernet.load_state_dict(content["supernet"])
        controller.load_state_dict(content["controller"])
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"{path}: not of this supernet: {' '.join(str(error).split())[:150]}") from None
