"""What the settings' models of all rooms are built from: their base class, bounded numbers, and where a field stands.

A space's own settings model stands on this as well, so this file knows of no room.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent conversions. A field's docstring is its meaning."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


M = TypeVar("M", bound=Settings)


def with_defaults(**defaults: Any) -> Callable[[type[M]], type[M]]:
    """Class decorator that gives inherited fields other defaults, and leaves their types, bounds and docstrings.

    To declare such a field again in the subclass would lose the docstring."""

    def change(model: type[M]) -> type[M]:
        for name, default in defaults.items():
            field = copy(model.model_fields[name])
            field.default = default
            model.model_fields[name] = field
        model.model_rebuild(force=True)
        return model

    return change


def all_defaults(model: type[M]) -> M:
    """The section in which nothing is set."""
    return model.model_validate({})


@dataclass(frozen=True)
class Later:
    """Marks, in a field's `Annotated`, a setting that came after version 0.1.0, with a default that changes nothing.

    Results are known by the text of the settings that made them. That text leaves such a setting out as long as it has
    its default, so files, states and results of versions that did not know it stay what they were. Hence the default
    must never change afterwards: it would change what those results are taken for."""


LATER = Later()


@dataclass(frozen=True)
class Section:
    """Says of a space's own setting in which section of an experiment it stands, for example `search.controller`. It is
    put into the field's `Annotated`; a field without one stands at the experiment's top."""

    name: str


def section_of(model: type[Settings], field: str) -> str:
    """The section of a field of a space's settings; empty: the experiment's top."""
    found = [item.name for item in model.model_fields[field].metadata if isinstance(item, Section)]
    return found[0] if found else ""


def _different(values: tuple[int, ...]) -> tuple[int, ...]:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is there twice")
    return values


# Single precision holds numbers of such a magnitude. YAML reads 1e-4 as a text, hence `strict=False`.
Float = Annotated[float, Field(strict=False, allow_inf_nan=False, ge=-1e38, le=1e38)]
Probability = Annotated[Float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Layers = Annotated[int, Field(ge=1, le=1000)]
Filters = Annotated[int, Field(ge=2, le=10_000, multiple_of=2)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]  # the tables' columns hold 64 bits
Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1), AfterValidator(_different)]
NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_-]{0,63}"
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
Precision = Literal["fp32", "bf16"]
Compile = Literal["auto", "off"]
