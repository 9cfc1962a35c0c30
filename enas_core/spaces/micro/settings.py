"""Settings of the micro space: its keys in an experiment of config.yaml, and what presets make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from enas_core.fields import Float, Section, Settings
from enas_core.spaces.micro.arc import MOST_NODES, OPS

Nodes = Annotated[int, Field(ge=1, le=MOST_NODES)]

OpValues = Annotated[tuple[Float, ...], Field(strict=False, min_length=len(OPS), max_length=len(OPS))]
"""One value an operation."""


class MicroSettings(Settings):
    """What an experiment says of its cells. Each field stands in the section that its `Section` names."""

    num_nodes: Nodes = 5
    """Nodes of a cell."""
    reduction_inputs: Annotated[Literal["previous", "both"], Section("search")] = "previous"
    """What a reduction layer of the supernet reads. `previous`: both inputs are made from the previous
    layer's output, as in the original, so that the search never sees the wiring that is retrained.
    `both`: from the two previous layers, as in the retrained network."""
    op_tanh_reduce: Annotated[Float, Field(gt=0), Section("search.controller")] = 2.5
    """The constant that bounds logits is divided by this for operations."""
    op_bias_init: Annotated[OpValues, Section("search.controller")] = (10.0, 10.0, 0.0, 0.0, 0.0)
    """Initial bias of each operation's logit, inside the tanh. The original starts the separable
    convolutions at 10, where the tanh is saturated and its gradient exactly 0: their logits stay at
    +0.44 for ever. 0 lets all of them learn."""
    normal_op_prior: Annotated[OpValues, Section("search.controller")] = (0.25, 0.25, -0.25, -0.25, -0.25)
    """Constant added to the operations' logits in the normal cell, outside the tanh."""


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "original": {},
    "corrected": {
        "search": {
            "reduction_inputs": "both",
            "controller": {"op_bias_init": [0.0] * len(OPS)},
        },
    },
}
"""What a preset puts on top of the defaults above, which are those of the original program."""
