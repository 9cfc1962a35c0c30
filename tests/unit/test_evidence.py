"""Each page of evidence is what its script makes of the tables beside it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "docs" / "evidence").glob("*/page.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)
def test_the_page_is_made_from_its_tables(script, tmp_path):
    runpy.run_path(str(script))["make"](tmp_path)
    assert (tmp_path / "README.md").read_text() == (script.parent / "README.md").read_text()
    made = {path.name for path in tmp_path.glob("*.svg")}
    assert made == {path.name for path in script.parent.glob("*.svg")}
    assert all((tmp_path / name).stat().st_size > 1000 for name in made)


def test_there_is_evidence():
    assert SCRIPTS
