"""The file of run times that a plan leaves to the workflow."""

from __future__ import annotations

from pathlib import Path

import pytest
from planned import small_experiment

from enas_core.console import UserError
from enas_core.planning.run_times import MARGIN, RunTime, conditions, read_run_times, save_run_times


def run_time(seconds: float) -> RunTime:
    return RunTime(seconds=seconds, conditions="x", device="cpu")


def test_twice_the_estimate_and_a_margin_are_asked_for() -> None:
    assert run_time(0).minutes() == MARGIN
    assert run_time(61).minutes() == MARGIN + 3
    assert run_time(36_000).minutes() == MARGIN + 1200


def test_a_new_plan_replaces_what_it_has_measured_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new/run_times.json"
    assert read_run_times(path) == {}
    save_run_times(path, {"a": {"search": run_time(1), "augment": run_time(2)}, "b": {"augment": run_time(3)}})
    save_run_times(path, {"c": {"augment": run_time(5)}, "a": {"augment": run_time(4)}})
    assert read_run_times(path) == {
        "a": {"search": run_time(1), "augment": run_time(4)},
        "b": {"augment": run_time(3)},
        "c": {"augment": run_time(5)},
    }


@pytest.mark.parametrize("content", ["", "[]", '{"a": {"augment": 5}}', '{"a": {"augment": {"seconds": "1"}}}', "\xff"])
def test_a_file_of_another_form(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run_times.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"run_times\.json: not what .* --save. writes") as raised:
        read_run_times(path)
    assert "\n" not in str(raised.value)


def test_an_estimate_holds_for_its_settings() -> None:
    experiment = small_experiment()

    def changed(section: str, **values: object) -> set[str]:
        other = experiment.model_copy(update={section: getattr(experiment, section).model_copy(update=values)})
        rules = ("search", "select_arc", "score_arcs", "augment")
        return {rule for rule in rules if conditions("a", other, rule) != conditions("a", experiment, rule)}

    assert changed("augment", num_epochs=5) == {"augment"}
    assert changed("search", num_epochs=5) == {"search", "select_arc", "score_arcs"}
    assert changed("select", num_candidates=5) == {"select_arc", "score_arcs"}
    assert changed("baseline", num_arcs=5) == {"score_arcs"}
    assert changed("dataset", max_train_images=150) == {"search", "select_arc", "score_arcs", "augment"}
    assert changed("search", seeds=(1, 2)) == set()
