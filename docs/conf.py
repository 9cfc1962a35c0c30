"""The site: `make docs` builds it from the Markdown files as they are, without a network.

The root of the repository is the source folder, so that links between pages are the same here and in a checkout.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

project = "ENAS micro search"
html_title = project
root_doc = "docs/index"
include_patterns = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", "config/README.md", "docs/**.md"]
exclude_patterns = [".*", "build", "results"]
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
suppress_warnings = ["toc.not_included"]  # pages that only a link leads to
templates_path: list[str] = []


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """The pages that the first one links are the ones in the sidebar, in that order."""
    if page == root_doc:
        linked = [link for link in re.findall(r"\]\((\S+)\.md\)", source[0]) if link != "../README"]
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", "", *linked, "```", ""])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
