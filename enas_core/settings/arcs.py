"""`arcs` in config.yaml: further networks to train, each an arc as text or the one that another experiment has
found."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from enas_core.fields import Name, Settings


class Transfer(Settings):
    """An arc that another experiment has found."""

    source: Name = Field(alias="from")
    """Name of that experiment."""


TAGS = ("[text]", "[transfer]")
"""Parts that the union below adds to the place of a mistake, and that no reader should see."""


def _kind(value: Any) -> str | None:
    """Which model of `ArcSource` describes `value`."""
    if isinstance(value, str):
        return "[text]"
    return "[transfer]" if isinstance(value, dict | Transfer) else None


ArcSource = Annotated[
    Annotated[str, Tag("[text]")] | Annotated[Transfer, Tag("[transfer]")],
    Discriminator(_kind, "arc_source", "allowed is an arc in quotes or {from: EXPERIMENT}"),
]
