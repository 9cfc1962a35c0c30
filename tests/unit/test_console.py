"""The log, the progress bar, and what is left of a time."""

import io
import re
import sys

import pytest

from enas_core.console import escaped, log, progress, start_logging, stop_logging, time_left


@pytest.fixture
def logging_to():
    """Starts logging, to a file or to none, and stops it when the test is over."""
    yield start_logging
    stop_logging()


def test_lines_go_to_the_terminal_and_with_their_time_to_the_log_file(logging_to, tmp_path, capsys):
    path = tmp_path / "new/folder/stage.log"
    for number in (1, 2):
        logging_to(path)
        log.info("epoch %d", number)
        stop_logging()
    assert capsys.readouterr().err == "epoch 1\nepoch 2\n"
    lines = path.read_text().splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", "", line) for line in lines] == ["epoch 1", "epoch 2"]
    assert lines[0] != "epoch 1"
    assert log.handlers == []


def test_a_full_disk_costs_the_lines_not_the_run(logging_to, capsys, tmp_path):
    logging_to(type(tmp_path)("/dev/full"))
    log.info("a line")
    stop_logging()
    assert capsys.readouterr().err == "a line\n"


def test_long_lines_of_the_log_are_broken_and_errors_are_not(logging_to, tmp_path, capsys):
    path, text = tmp_path / "stage.log", " ".join(["word"] * 60)
    logging_to(path)
    log.info("%s", text)
    log.error("%s", text)
    stop_logging()
    first, second, error = capsys.readouterr().err.splitlines()
    assert len(first) <= 200
    assert second.startswith("    word")
    assert f"{first} {second.strip()}" == error == text
    assert all(line.endswith(text) for line in path.read_text().splitlines())


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(logging_to, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    logging_to(None)
    seen = []
    for step in progress(range(2, 5), "epoch 7", total=5, initial=2):
        seen.append(step)
        log.info("at %d", step)
    assert seen == [2, 3, 4]
    text = terminal.getvalue()
    assert "epoch 7:  40%" in text
    assert "2/5" in text
    # Lines of their own, which nothing that stood there before shares, and the bar below.
    assert all(re.search(rf"\r\x1b\[Kat {step}\n", text) for step in seen)


def test_no_bar_elsewhere(capsys):
    assert list(progress(range(3), "epoch", total=3)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("done", "total", "seconds", "expected"),
    [(1, 1, 5.0, "0:00:00"), (1, 3, 30.0, "0:01:00"), (2, 4, 7200.5, "2:00:00"), (1, 1001, 360.0, "100:00:00")],
)
def test_time_left(done, total, seconds, expected):
    assert time_left(done, total, seconds) == expected


def test_what_cannot_be_written_is_shown_by_its_code():
    """As parts of file names that are not text: an undecodable byte is half of a character."""
    assert escaped("cat\udcff.png\n\ta\x1b[2J é") == r"cat\udcff.png" + "\n\ta" + r"\x1b[2J" + " é"
