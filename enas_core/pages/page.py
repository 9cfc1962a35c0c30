"""Pages from templates (Jinja2): everything that a page needs stands in it, style and script included."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from enas_core.pages import numbers
from enas_core.pages.tables import Table


@functools.cache
def _templates() -> Environment:
    """Values are escaped; a name that a template has and its data lack is an error."""
    environment = Environment(
        loader=PackageLoader("enas_core", "pages/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": numbers.percent,
        "percent_interval": numbers.percent_interval,
        "duration": numbers.duration,
        "shown": numbers.shown,
    }
    return environment


def render(template: str, data: Mapping[str, Any]) -> str:
    """The text of a page."""
    return _templates().get_template(template).render(data)


def table_page(title: str, tables: Sequence[Table]) -> str:
    """A page of tables alone, for Snakemake's report."""
    return render("tables.html", {"title": title, "tables": tables})
