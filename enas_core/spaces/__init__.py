"""Search spaces: arcs, the networks that they stand for, and their pictures.

May import `fields`, `console` and `files`, nothing else of the project. Start with `space.py`, the interface that all
other rooms use; `micro/` is the one space there is. Arcs, sampling, drawing and settings never import torch; networks,
layers, saved networks and measures do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from enas_core.console import UserError, shown

if TYPE_CHECKING:
    from enas_core.spaces.space import SearchSpace

SPACES = {"micro": "enas_core.spaces.micro.space:Micro"}
"""Where the class of each space is, by the name that `space` in config.yaml says: `module:class`."""


def space_class(name: str) -> type[SearchSpace]:
    """The class of a space. Raises UserError, naming those that there are, when there is none of this name."""
    if name not in SPACES:
        raise UserError(f"space: {shown(name)}; allowed: {', '.join(SPACES)}")
    module, _, class_name = SPACES[name].partition(":")
    found: type[SearchSpace] = getattr(importlib.import_module(module), class_name)
    return found
