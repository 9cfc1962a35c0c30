"""README.md and docs/: links lead somewhere, every page can be found, and what they show is what the program says."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from enas_core.files.tables import read_table

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
DIGITS = ROOT / "docs/evidence/digits"


def name_of(path):
    return str(path.relative_to(ROOT))


def flat(text):
    """On one line, however it was broken."""
    return " ".join(text.split())


def prose(text):
    """Without blocks of code."""
    return re.sub(r"^( {4}[^\n]*|```.*?^```)$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text):
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    missing = []
    for link in links(page.read_text()):
        if link.startswith("http"):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            missing.append(link)
    assert missing == []


def test_links_are_found_in_prose_only():
    text = "[a](b.md)\n\n    [c](d.md)\n\n```python\n[e](f.md)\n```\n\n[g](h.md)\n"
    assert links(text) == ["b.md", "h.md"]


@pytest.mark.parametrize("start", ["README.md", "docs/index.md"])
def test_every_page_is_linked_from_where_one_begins(start):
    start = ROOT / start
    linked = {(start.parent / link.partition("#")[0]).resolve() for link in links(start.read_text())}
    of_their_own = {path for path in DOCS if path.parent.parent.name == "evidence"} | {ROOT / "docs/index.md"}
    assert [name_of(path) for path in DOCS if path not in linked | of_their_own] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_targets_of_make_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:`|^ {4})make ([\w./-]+)", page.read_text().replace("`make\n", "`make "), re.MULTILINE))
    assert {name for name in named if not re.search(rf"^{re.escape(name)}:", makefile, re.MULTILINE)} == set()


@pytest.mark.parametrize("page", ["README.md", "docs/evidence.md"])
def test_figures_of_the_digits_are_those_of_their_table(page):
    (row,) = read_table(DIGITS / "comparison.parquet", "comparison")
    figures = [
        f"{row['relative_improvement']:.1f} % [{row['ri_low']:.1f}, {row['ri_high']:.1f}]",
        f"p = {row['p_value']:.3f}",
        f"tau {row['kendall_tau']:.2f} [{row['tau_low']:.2f}, {row['tau_high']:.2f}]",
    ]
    text = flat((ROOT / page).read_text())
    assert [figure for figure in figures if figure not in text] == []


def test_every_room_is_in_the_table_of_rooms():
    rooms = {path.parent.name for path in (ROOT / "enas_core").glob("*/__init__.py")}
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)) == rooms
    firsts = re.findall(r"^\| `(\w+)/` \|.*\| (`.*`) \|$", text, re.MULTILINE)
    assert [
        name
        for room, names in firsts
        for name in re.findall(r"`(.*?)`", names)
        if not (ROOT / "enas_core" / room / name).exists()
    ] == []


HELPERS = {
    "all",
    "resolve_config",
    "check_images",
    "random_arc",
    "named_arc",
    "draw_cells",
    "write_tables",
    "report_files",
}
"""Rules that only serve others, besides those that draw figures."""


def test_every_rule_is_in_the_table_of_stages():
    rules = {
        name
        for path in ROOT.glob("workflow/rules/*.smk")
        for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)
    }
    stages = {name for name in rules - HELPERS if not name.startswith("plot_")}
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/files.md").read_text(), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == stages


def test_pictures_are_small():
    pictures = [path for path in (ROOT / "docs").rglob("*.png")]
    assert pictures
    assert [name_of(path) for path in pictures if path.stat().st_size >= 300_000] == []
