"""The report of finished experiments as one page: from the tables in docs/evidence, and from what lies beside them."""

import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rows import row_of

from enas_core import report
from enas_core.analysis.results import read_results
from enas_core.files.tables import read_table, write_table
from enas_core.pages.contents import MANY_NETWORKS, networks_table
from enas_core.pages.report import report_page
from enas_core.pages.sections import SECTIONS
from enas_core.settings.stages import stage_settings, to_json
from enas_core.settings.workflow import load_workflow

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / "docs/evidence/digits"
EMPTY_ELEMENTS = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """What is on a page. Raises AssertionError where an element is closed that was not opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.attributes, self.texts = [], [], [], {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY_ELEMENTS:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(" ".join(data.split()))


@pytest.fixture
def digits(tmp_path):
    """The tables of a real run, alone."""
    folder = tmp_path / "results/digits"
    folder.mkdir(parents=True)
    for name in ("metrics.parquet", "comparison.parquet"):
        shutil.copy(EVIDENCE / name, folder)
    return folder


def page_of(*folders):
    return report_page(read_results(folders))


def test_it_opens_on_the_answer(digits):
    page = Page(page_of(digits))
    assert page.texts["h1"][0] == (
        "What 5 searches found reaches a test accuracy of 61.3 % on average, 24 random networks 50.4 %: 10.8 points"
        " better, which exceeds the noise (p = 0.0165)."
    )
    assert "NAS best practices" in page.texts["summary"]
    assert f"enas predict {digits}/final.pt picture.png" in page.texts["pre"][0]


def test_what_is_not_there_is_left_out(digits):
    titles = Page(page_of(digits)).texts["summary"]
    assert titles == ["Found against random", "Architectures", "All trained networks", "NAS best practices",
                      "What made each table"]  # fmt: skip


def test_everything_that_is_there_is_shown(digits):
    add_everything(digits)
    assert Page(page_of(digits)).texts["summary"] == [section.title for section in SECTIONS]


def add_everything(folder):
    """Figures, settings, checks and classes beside the tables."""
    (folder / "report").mkdir()
    for name in ("found_vs_random", "strategies", "budget", "search", "augment", "ablation"):
        shutil.copy(EVIDENCE / "ablation.svg", folder / f"report/{name}.svg")
    experiment = load_workflow(ROOT / "config.yaml").experiments["digits"]
    (folder / "config").mkdir()
    for stage in ("search", "augment"):
        (folder / f"config/{stage}.json").write_text(to_json(stage_settings("digits", experiment, stage)))
    classes = [
        row_of("classes", label=label, test_images=50, answered=50, correct=40, accuracy=0.8) | {"class": name}
        for label, name in enumerate(("<b>cat", "dog"))
    ]
    write_table(folder / "classes.parquet", "classes", classes, {})


def test_it_needs_no_network(digits):
    add_everything(digits)
    for tag, name, value in Page(page_of(digits)).attributes:
        if not name.startswith("xmlns"):
            assert "//" not in (value or "") or str(digits) in value, (tag, name)
        assert name not in ("src", "srcset")


def test_ids_are_not_given_twice(digits, tmp_path):
    add_everything(digits)
    shutil.copytree(digits, tmp_path / "results/other")
    ids = Counter(Page(page_of(digits, tmp_path / "results/other")).ids)
    assert [name for name, count in ids.items() if count > 1] == []


def test_names_are_text(digits):
    add_everything(digits)
    text = page_of(digits)
    assert "&lt;b&gt;cat" in text
    assert "<b>cat" not in text


def test_accuracy_has_a_binomial_interval_of_the_test_images(digits):
    assert "the number of test images is not known" in page_of(digits)
    add_everything(digits)
    assert "60.4 to 78.1 %, 95 % binomial interval of 100 test images" in " ".join(page_of(digits).split())


def test_of_thousands_of_networks_the_best_are_shown():
    row = row_of("metrics", network="n", seed=1)
    random = [row | {"role": "random", "test_accuracy": 0.5 + i / 10_000} for i in range(MANY_NETWORKS + 1000)]
    found = [row | {"role": "searched", "test_accuracy": 0.1}]
    table = networks_table([*found, *random])
    assert table.rows == [*reversed(random[-MANY_NETWORKS:]), *found]
    assert table.note == "1,000 more random ones, which reach less, are in metrics.parquet."
    assert networks_table(random[:MANY_NETWORKS]).note == ""


def test_settings_that_differ_from_the_defaults_come_first(digits):
    add_everything(digits)
    text = page_of(digits)
    changed, same = text.index("Changed from the defaults"), text.index("At their defaults")
    assert changed < text.index(">augment.num_epochs<") < same < text.index(">search.controller.hidden_size<")


def test_several_experiments_are_compared(digits, tmp_path):
    other = tmp_path / "results/other"
    other.mkdir()
    rows = read_table(digits / "metrics.parquet", "metrics")
    better = [row | {"experiment": "other", "trained_by": "other", "test_accuracy": 0.99} for row in rows]
    write_table(other / "metrics.parquet", "metrics", better, {})
    page = Page(page_of(digits, other))
    assert page.texts["h1"][0] == "digits, other: architecture search"
    assert len(page.texts["h1"]) == 3
    assert any(re.fullmatch(rf"{other} against {digits}: found networks .* exceeds the noise.*", li) for li in
               page.texts["li"])  # fmt: skip


def test_the_command_writes_the_page(digits, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert report.main([str(digits.parent), "--out", str(out)]) == 0
    assert out.read_text() == page_of(digits)
    assert capsys.readouterr().err == f"{out} is written\n"


def test_a_folder_without_results_is_one_line(tmp_path, capsys):
    assert report.main([str(tmp_path), "--out", str(tmp_path / "page.html")]) == 2
    assert "error: there is nothing to compare" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
