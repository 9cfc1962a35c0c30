"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _different(values: tuple[int, ...]) -> tuple[int, ...]:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is there twice")
    return values


# Of a magnitude that single precision holds; YAML reads 1e-4 as a string.
Float = Annotated[float, Field(strict=False, allow_inf_nan=False, ge=-1e38, le=1e38)]


Probability = Annotated[Float, Field(gt=0, le=1)]


Count = Annotated[int, Field(ge=1, le=1_000_000)]


Filters = Annotated[int, Field(ge=2, le=10_000, multiple_of=2)]


Threads = Annotated[int, Field(ge=1, le=1024)]


Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]  # a column of the tables


Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]


Precision = Literal["fp32", "bf16"]


Compile = Literal["auto", "off"]


Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1), AfterValidator(_different)]


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


@dataclass(frozen=True)
class Section:
    """Where in an experiment a space's own setting stands: `search`, `search.controller`. Used in `Annotated`; a field
    without one stands at the experiment's top."""

    name: str
