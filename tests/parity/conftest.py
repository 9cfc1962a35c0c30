"""A table at the end of the run: what was compared, how often, and the largest error."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from golden import Comparison

COMPARISONS = pytest.StashKey[list[Comparison]]()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """The networks are too small for more, and results on a CPU depend on it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Callable[[Comparison], None]:
    """Puts a comparison into the table, and asserts it."""
    table = request.config.stash.setdefault(COMPARISONS, [])

    def record(comparison: Comparison) -> None:
        table.append(comparison)
        assert comparison.passes, comparison

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    by_quantity: dict[str, list[Comparison]] = {}
    for comparison in config.stash.get(COMPARISONS, []):
        by_quantity.setdefault(comparison.quantity, []).append(comparison)
    if not by_quantity:
        return
    width = max(map(len, by_quantity))
    terminalreporter.section("compared with the original program")
    terminalreporter.line(f"{'quantity':{width}}  {'cases':>5}  {'largest error':>13}  {'tolerance':>9}")
    for quantity, found in by_quantity.items():
        error = max(comparison.error for comparison in found)
        terminalreporter.line(f"{quantity:{width}}  {len(found):5}  {error:13.1e}  {found[0].tolerance:9.0e}")
