"""What is said of results that a later version computes otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from enas_core.settings import revisions
from enas_core.settings.revisions import WITHOUT_SETTINGS, Change, revision_of, what_is_stale
from enas_core.settings.stages import STAGES

FIRST = Change("9.1.0", "a was wrong")
SECOND = Change("9.2.0", "b was wrong")


def write(folder: Path, stage: str, content: object) -> None:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / f"{stage}.json").write_text(json.dumps(content))


def test_every_change_is_of_a_stage() -> None:
    assert set(revisions.CHANGES) <= set(STAGES)
    assert set(WITHOUT_SETTINGS) <= set(STAGES)


def test_results_of_today(tmp_path: Path) -> None:
    assert what_is_stale(tmp_path, "search") is None  # there are none
    write(tmp_path, "search", {})
    assert what_is_stale(tmp_path, "search") is None


def test_results_of_an_earlier_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(revisions.CHANGES, "search", (FIRST, SECOND))
    assert revision_of("search") == 3
    assert what_is_stale(tmp_path, "search") is None
    begins = f"{tmp_path}: search: results of versions before"
    write(tmp_path, "search", {"other": 0})
    expected = f"{begins} 9.1.0 are made again: a was wrong (9.1.0); b was wrong (9.2.0)"
    assert what_is_stale(tmp_path, "search") == expected
    write(tmp_path, "search", {"revision": 2})
    assert what_is_stale(tmp_path, "search") == f"{begins} 9.2.0 are made again: b was wrong (9.2.0)"
    write(tmp_path, "search", {"revision": 3})
    assert what_is_stale(tmp_path, "search") is None


def test_results_of_a_later_version(tmp_path: Path) -> None:
    write(tmp_path, "search", {"revision": 2})
    assert what_is_stale(tmp_path, "search") == (
        f"{tmp_path}: search: results of a later version are made again as this one computes them"
    )


@pytest.mark.parametrize("content", [[1], None, {"revision": "2"}, {"revision": None}])
def test_a_file_that_holds_no_settings_says_nothing(tmp_path: Path, content: object) -> None:
    write(tmp_path, "search", content)
    assert what_is_stale(tmp_path, "search") is None


def test_a_stage_without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(revisions.CHANGES, "compare", (FIRST,))
    assert what_is_stale(tmp_path, "compare") is None
    (tmp_path / "comparison.parquet").touch()
    assert "compare: results of versions before 9.1.0" in (what_is_stale(tmp_path, "compare") or "")
    write(tmp_path, "compare", {"revision": 2})
    assert what_is_stale(tmp_path, "compare") is None
