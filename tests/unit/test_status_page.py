"""status --html: the page that shows how far experiments are."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path

import pytest
from under_way import MadeUp, printed

from enas_core import status
from enas_core.monitor.page import page


@pytest.fixture
def made_up(tmp_path: Path) -> MadeUp:
    return MadeUp(tmp_path)


class Tags(html.parser.HTMLParser):
    """Refuses a page whose tags do not close; counts them."""

    VOID = ("meta", "br", "path", "use", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_has_tables_and_curves(made_up: MadeUp, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made_up.tell("search/s1")
    made_up.finish("networks/random-00/seed1", [0.5, 0.6])
    path = tmp_path / "status.html"
    lines = printed(capsys, made_up, "--once", "--html", str(path))
    assert lines[0].startswith("mine: 1 of 11 stages finished, 1 running")
    text = path.read_text()
    seen = Tags(text).seen
    assert (seen.count("table"), seen.count("svg"), seen.count("tr")) == (1, 1, len(lines) - 1)
    assert "http-equiv" not in text  # nobody writes it again
    assert not re.search(r'(src|href)="(?!#)', text)  # nothing to load from elsewhere


def test_the_page_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results").mkdir()
    path = tmp_path / "status.html"
    assert status.main([str(tmp_path / "results"), "--once", "--html", str(path)]) == 0
    assert "no stage has begun" in path.read_text()


def test_the_page_loads_itself_again_and_trusts_no_text() -> None:
    text = page("<title>", [], "<foot>", 5.0)
    assert '<meta http-equiv="refresh" content="5">' in text
    assert "&lt;title&gt;" in text
    assert "<foot>" not in text


def test_the_page_is_written_until_nothing_is_left(
    made_up: MadeUp, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, waits = tmp_path / "status.html", []
    searches = [f"search/s{seed}" for seed in (1, 2)]
    made_up.tell(searches[0])

    def go_on(seconds: float) -> None:
        waits.append((seconds, "http-equiv" in path.read_text()))
        assert len(waits) == 1
        made_up.prepare()
        for i, place in enumerate(searches):
            made_up.finish(place, [0.5] * 4)
            made_up.select(i + 1, 0.5)
            made_up.score(i + 1)
        for network in ("searched-s1", "searched-s2", "random-00", "random-01"):
            made_up.finish(f"networks/{network}/seed1", [0.5])

    monkeypatch.setattr(status.time, "sleep", go_on)
    assert printed(capsys, made_up, "--html", str(path), "--every", "7") == []
    assert waits == [(7.0, True)]
    assert "http-equiv" not in path.read_text()
