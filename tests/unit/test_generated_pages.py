"""Pages that are made from the code are what the code makes of them now."""

import runpy
from pathlib import Path

import pytest

from enas_core.files.schemas import TABLES

DOCS = Path(__file__).parents[2] / "docs"
GENERATE = runpy.run_path(str(DOCS / "generate.py"))


@pytest.mark.parametrize("page", GENERATE["PAGES"])
def test_the_page_is_the_current_one(page):
    """After a change of settings or columns: python docs/generate.py"""
    assert (DOCS / page).read_text() == GENERATE["PAGES"][page]()


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, "whole number, at least 1"),
        ({"type": "number", "minimum": -1e38, "exclusiveMinimum": 0, "maximum": 1}, "number, above 0, at most 1"),
        (
            {"type": "integer", "minimum": 2, "maximum": 10_000, "multipleOf": 2},
            "whole number, 2 to 10,000, a multiple of 2",
        ),
        ({"anyOf": [{"enum": ["a", "b"], "type": "string"}, {"type": "null"}]}, "`a`, `b` or null"),
        ({"type": "array", "items": {"type": "number"}}, "list of: number"),
    ],
)
def test_allowed_values_in_words(node, words):
    assert GENERATE["_allowed"](node) == words


def test_every_kind_of_table_says_where_it_is():
    assert [kind for kind, table in TABLES.items() if not table.file] == []
