"""Strategies against each other: the table of their evaluations, and what the controller bought."""

import pytest

from enas_core import strategies
from enas_core.analysis.comparison import summarise
from enas_core.analysis.sentences import sentences
from enas_core.analysis.strategies import bought, bought_by_choosing, evaluations, gain, reached
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import read_table, write_table
from enas_core.settings.stages import stage_settings, to_json
from enas_core.settings.workflow import parse_workflow


def candidate(arc, accuracy, source="policy", policy="controller", selected=False):
    row = {"source": source, "policy": policy, "space": "micro", "arc": arc, "valid_accuracy": accuracy}
    return row | {"params": 5, "macs": 7, "selected": selected, "on_front": False}


def network(strategy, seed, accuracy, role="strategy", training=1):
    name = f"searched-s{seed}" if role == "searched" else f"{strategy}-s{seed}"
    row = dict.fromkeys(SCHEMAS["metrics"].names)
    row |= {"experiment": "x", "trained_by": "x", "dataset": "digits", "network": name, "role": role, "space": "micro"}
    row |= {"arc": "0", "search_seed": seed, "seed": training, "params": 5, "macs": 7, "shared_accuracy": 0.5}
    row |= {"test_accuracy": accuracy, "balanced_accuracy": accuracy, "test_error": 1 - accuracy, "epochs": 1}
    row |= {"seconds": 1.0, "search_seconds": 3600.0, "select_seconds": 60.0, "device": "cpu", "valid_accuracy": None}
    return row | {"strategy": strategy}


def pairs(*differences):
    """Metrics in which the policy's choice is better than the random one by so much, a search each."""
    rows = [network("policy", seed, 0.5 + by, "searched") for seed, by in enumerate(differences)]
    return rows + [network("random", seed, 0.5) for seed in range(len(differences))]


def test_evaluations_are_counted_and_the_best_so_far_is_kept():
    rows = evaluations([candidate("a", 0.2), candidate("b", 0.5, selected=True), candidate("c", 0.4)])
    assert [(row["evaluation"], row["arc"], row["best_so_far"]) for row in rows] == [
        (1, "a", 0.2),
        (2, "b", 0.5),
        (3, "c", 0.5),
    ]
    assert [row["selected"] for row in rows] == [False, True, False]
    assert {row["strategy"] for row in rows} == {"policy"}
    assert evaluations([candidate("a", 0.2, "strategy", "evolution")])[0]["strategy"] == "evolution"


def test_the_command_gathers_them(tmp_path):
    raw = {"dataset": {"name": "digits", "source": "digits", "split_test_images": 60}}
    raw |= {"search": {"aux_head": False, "valid_images": 60}, "augment": {"aux_head": False}}
    experiment = parse_workflow({"experiments": {"x": raw}}).experiments["x"]
    (tmp_path / "strategies.json").write_text(to_json(stage_settings("x", experiment, "strategies")))
    tables = {"own": candidate("a", 0.2, selected=True), "other": candidate("b", 0.5, "strategy", "random", True)}
    for name, row in tables.items():
        write_table(tmp_path / f"{name}.parquet", "candidates", [row], {"device": "cpu"})
    words = ["--config", tmp_path / "strategies.json", "--seed", 4, "--out", tmp_path / "out.parquet"]
    words += ["--candidates", *(tmp_path / f"{name}.parquet" for name in tables)]
    assert strategies.main([str(word) for word in words]) == 0
    rows = read_table(tmp_path / "out.parquet", "strategies")
    assert [(row["experiment"], row["dataset"], row["seed"], row["strategy"], row["arc"]) for row in rows] == [
        ("x", "digits", 4, "policy", "a"),
        ("x", "digits", 4, "random", "b"),
    ]


def test_what_choices_reach_is_the_mean_over_trainings():
    rows = [network("random", 1, 0.5), network("random", 1, 0.7, training=2), network("random", 2, 0.4)]
    rows.append(network(None, None, 0.9, "random"))
    assert reached(rows) == {"random": {1: pytest.approx(0.6), 2: 0.4}}


def test_the_gain_is_over_searches_that_have_both():
    rows = [*pairs(0.1, 0.3), network("policy", 9, 0.0, "searched")]
    found = gain(rows, "policy", "random")
    assert found.searches == 2
    assert found.change.value == pytest.approx(0.2)
    assert gain(rows, "policy", "evolution") is None


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        (
            [0.1],
            "in 1 search: nothing that these runs can show, since so few have no interval",
        ),
        ([0.1, -0.1, 0.05], ": nothing that these runs can show"),
        ([0.1, 0.11, 0.12], ": more than the noise"),
        ([-0.1, -0.11, -0.12], ": it cost accuracy"),
        ([0.0, 0.0], "+0.0000 test accuracy in 2 searches, 95 % interval +0.0000 to +0.0000: nothing that these runs"),
    ],
)
def test_one_sentence_with_an_interval(differences, words):
    text = bought(pairs(*differences))
    assert words in text
    assert ("95 % interval" in text) == (len(differences) > 1)
    (line,) = [line for line in sentences({"x": pairs(*differences)}, [], {}) if "policy bought" in line]
    assert line == f"x: {text}"


def test_what_the_shared_weights_bought_alone():
    rows = [network("random", seed, 0.6 + seed / 1000) for seed in range(4)]
    rows += [network(None, None, 0.4 + i / 1000, "random") | {"network": f"random-0{i}"} for i in range(8)]
    text = bought_by_choosing(rows)
    assert "+0.1980 test accuracy in 4 searches, 95 % interval +0.19" in text
    assert text.endswith(": more than the noise")
    assert [line for line in sentences({"x": rows}, [], {}) if "any: " in line] == [f"x: {text}"]
    assert bought_by_choosing(rows[:4]) is None
    assert bought_by_choosing(rows[4:]) is None


def test_there_is_no_sentence_without_random_choices():
    assert bought([network("policy", 1, 0.5, "searched"), network("evolution", 1, 0.6)]) is None


def test_older_metrics_do_not_say():
    assert bought([{name: value for name, value in row.items() if name != "strategy"} for row in pairs(0.1)]) is None


def test_networks_for_the_record_do_not_change_the_comparison():
    rows = [network("policy", seed, 0.5 + seed / 100, "searched") for seed in range(4)]
    rows += [network(None, None, 0.4 + i / 100, "random") | {"network": f"random-0{i}"} for i in range(8)]
    more = [network(name, seed, 0.9) for name in ("random", "evolution") for seed in range(4)]
    alone, together = summarise(rows)[0], summarise(rows + more)[0]
    changed = {name for name in alone if alone[name] != together[name]}
    assert changed == {"train_hours"}
