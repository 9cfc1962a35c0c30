"""The site that `make docs` builds: without a warning, with links that lead somewhere, and without a network."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
OPTIONS = re.search(r"sphinx-build (.*) build/site$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1).split()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of a fresh build, by the options of the Makefile."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", *OPTIONS, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def pages(site):
    return sorted(site.rglob("*.html"))


def test_every_page_of_docs_is_in_it(site):
    written = [path for path in (ROOT / "docs").rglob("*.md")]
    assert [path for path in written if not (site / path.relative_to(ROOT)).with_suffix(".html").exists()] == []


def test_links_and_pictures_are_there(pages):
    missing = []
    for page in pages:
        for link in re.findall(r'(?:href|src)="([^"#:]+)(?:#[^"]*)?"', page.read_text()):
            if not (page.parent / unquote(link).partition("?")[0]).exists():
                missing.append((page.name, link))
    assert missing == []


def test_it_needs_no_network(pages):
    for page in pages:
        loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(https?:[^"]*)"', page.read_text())
        assert loaded == []


def test_the_first_page_leads_to_the_others(site):
    first = (site / "docs/index.html").read_text()
    sidebar = re.search(r'<div class="sidebar-tree">.*?</div>', first, re.DOTALL).group()
    assert {"images.html", "settings.html", "../CHANGELOG.html"} <= set(re.findall(r'href="([^"]+)"', sidebar))
