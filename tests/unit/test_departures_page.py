"""The table of departures in docs/departures.md says what the presets do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from enas_core.settings.experiment import Experiment
from enas_core.settings.presets import preset_values
from enas_core.settings.workflow import parse_workflow

PAGE = (Path(__file__).parents[2] / "docs/departures.md").read_text()


def departures(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from departures(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def setting(experiment: Experiment, key: str) -> Any:
    value: Any = experiment
    for name in key.split("."):
        value = getattr(value, name)
    return value


def shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(f"{v:g}" for v in value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_table_lists_every_departure_with_both_values() -> None:
    experiment = parse_workflow({"experiments": {"x": {"dataset": {"name": "cifar10", "source": "torchvision"}}}})
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `search.") or "| `augment." in line]
    table = {
        key.strip(" `"): (row[2].strip(), row[3].strip()) for row in rows for key in row[1].split(",") if "." in key
    }
    corrected = dict(departures(preset_values("corrected", "micro")))
    expected = {k: (shown(setting(experiment.experiments["x"], k)), shown(v)) for k, v in corrected.items()}
    assert table == expected
