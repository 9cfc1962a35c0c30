"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from enas_core.fields import Float
from enas_core.spaces.micro.arc import OPS

Nodes = Annotated[int, Field(ge=1, le=16)]


OpValues = Annotated[tuple[Float, ...], Field(strict=False, min_length=len(OPS), max_length=len(OPS))]
