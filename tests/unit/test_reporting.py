"""workflow/scripts/reporting.py: what all figures have in common."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def reporting(monkeypatch):
    """The module, which the scripts of the report find beside them, with its style for as long as the test runs."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "workflow/scripts")
    import reporting

    with reporting.plt.rc_context(reporting.STYLE):
        yield reporting
    sys.modules.pop("reporting")


@pytest.mark.parametrize("name", ["5 $", "$x_$", r"$\frac$", "a_b^c", "<b> & 'c'"])
def test_classes_may_be_called_anything(reporting, name, tmp_path):
    figure, ax = reporting.panels(1)
    ax.set_xticks([0, 1], [name, name])
    ax.set_title(name)
    reporting.save(figure, str(tmp_path / "a.svg"))
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_logarithmic_axes_have_plain_numbers(reporting, tmp_path):
    figure, ax = reporting.panels(1)
    with reporting.plt.rc_context({"svg.fonttype": "none"}):
        ax.plot([0, 1], [0.01, 0.3])
        reporting.percent_of_logarithm(ax)
        reporting.save(figure, str(tmp_path / "a.svg"))
    written = (tmp_path / "a.svg").read_text()
    assert "$" not in written
    assert ">10 %<" in written
