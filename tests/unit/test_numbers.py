"""How numbers are written for people."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core.pages.numbers import duration, error, percent, percent_interval, shown, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.123456, "0.123"),
        (1.0, "1.00"),
        (99.96, "100.0"),
        (1234.5, "1,230"),
        (-0.0456, "-0.0456"),
        (0.00001234, "1.23e-05"),
        (math.inf, "inf"),
        (6.02e23, "6.02e+23"),
    ],
)
def test_three_significant_digits(value, text):
    assert significant(value) == text


@settings(derandomize=True, deadline=None)
@given(st.floats(1e-3, 1e9))
def test_three_digits_are_within_half_a_unit(value):
    assert float(significant(value).replace(",", "")) == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (True, "yes"), (1234567, "1,234,567"), (0.5, "0.500"), ("a", "a")]
)
def test_any_value(value, text):
    assert shown(value) == text


def test_shares():
    assert percent(0.61256) == "61.3 %"
    assert percent(None) == "–"
    assert percent_interval(0.5, 0.725) == "50.0 to 72.5 %"
    assert percent_interval(None, None) == ""
    assert error(0.02764) == "2.76 %"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.7067, "0.707 s"), (119.0, "119 s"), (120.0, "2.00 min"), (7200.0, "2.00 h"), (360000.0, "4.17 d")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
