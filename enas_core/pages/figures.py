"""Pictures inside a page: the SVG files of the report, in colours that fit a light and a dark page."""

from __future__ import annotations

import html
import re

from markupsafe import Markup

COLOURS = {
    "#1a1a1a": "ink",
    "#555555": "soft",
    "#666666": "soft",
    "#ffffff": "paper",
    "#fafafa": "card",
    "#e8e8e8": "grid",
    "#e4e4e4": "grid",
    "#56b4e9": "sky",
    "#0072b2": "blue",
    "#e69f00": "yellow",
    "#d55e00": "orange",
    "#009e73": "green",
    "#cc79a7": "purple",
}
"""Colours of figures and pictures of arcs, and what the page's style calls them. Others stay as they are."""


def inline(svg: str, name: str, label: str) -> Markup:
    """An SVG file's text as a part of a page. Its ids get `name` in front, which is another one for each picture of the
    page; `label` says what it shows to those who do not see it."""
    svg = svg[svg.index("<svg") :]  # without what makes it a file
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r"#[0-9a-fA-F]{6}\b", _of_the_page, svg)
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(role|width|height)="[^"]*"', "", head)
    return Markup(f'{head} role="img" aria-label="{html.escape(label)}">{rest}')


def width_of(svg: str) -> float:
    """Width of a picture, in units of its own."""
    viewed = re.search(r'viewBox="\S+ \S+ (\S+) ', svg)
    return float(viewed[1]) if viewed else 0.0


def _of_the_page(colour: re.Match[str]) -> str:
    name = COLOURS.get(colour[0].lower())
    return colour[0] if name is None else f"var(--{name})"
