"""Scoring of arcs with the shared weights: what is said of each, and which is selected."""

import pytest
import torch

from enas_core.data.prepare import prepare
from enas_core.settings.stages import stage_settings
from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.layers import initialise
from enas_core.spaces.measure import count_parameters
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.training.images import load_images
from enas_core.training.scoring import Scorer, mark_front, mark_selected

CPU = torch.device("cpu")
SPACE = Micro(MicroSettings(num_nodes=1))
ARCS = [SPACE.uniform(seed) for seed in (0, 1, 2, 3, 5)]


# --- the choice ---------------------------------------------------------------------------------


def row(arc, accuracy, source="policy"):
    return {"source": source, "arc": str(arc), "valid_accuracy": accuracy}


def selected(rows):
    best = mark_selected(rows, SPACE)
    assert [each["selected"] for each in rows] == [each is best for each in rows]
    return best


def test_the_highest_accuracy_is_selected():
    rows = [row(ARCS[0], 0.5), row(ARCS[1], 0.75), row(ARCS[2], 0.7)]
    assert selected(rows) is rows[1]


def test_of_equals_the_first_in_the_order_of_their_choices():
    """As numbers, not as text, in which 10 comes before 9."""
    space = Micro(MicroSettings(num_nodes=10))
    first = [0] * len(space.decisions)
    small, large = ([*first[:36], index, *first[37:]] for index in (9, 10))
    rows = [row(space.from_choices(choices), 0.5) for choices in (large, small)]
    assert min(rows, key=lambda each: each["arc"]) is rows[0]
    assert mark_selected(rows, space) is rows[1]


def test_what_another_strategy_has_proposed_can_be_selected():
    rows = [row(ARCS[0], 0.9, "random"), row(ARCS[1], 0.5, "strategy"), row(ARCS[2], 0.7, "strategy")]
    assert selected(rows) is rows[2]


def test_the_front_is_of_all_candidates():
    rows = [{"macs": macs, "valid_accuracy": accuracy} for macs, accuracy in [(5, 0.5), (5, 0.6), (7, 0.6), (9, 0.7)]]
    mark_front(rows)
    assert [each["on_front"] for each in rows] == [False, True, False, True]


@pytest.mark.parametrize("source", ["random", "named"])
def test_only_what_the_policy_has_proposed_can_be_selected(source):
    rows = [row(ARCS[0], 0.9, source), row(ARCS[1], 0.5), row(ARCS[2], 0.9, source)]
    assert selected(rows) is rows[1]


def test_what_was_selected_before_no_longer_counts():
    rows = [row(ARCS[0], 0.5) | {"selected": True}, row(ARCS[1], 0.75)]
    assert selected(rows) is rows[1]


# --- rows ---------------------------------------------------------------------------------------


@pytest.fixture
def scorer(tmp_path):
    """A scorer of an untrained supernet, and its settings."""
    dataset = {"name": "digits", "source": "digits", "split_test_images": 20, "max_train_images": 120}
    search = {"batch_size": 32, "num_layers": 1, "num_filters": 4, "aux_head": False, "valid_images": 50}
    augment = {"batch_size": 32, "aux_head": False}
    raw = {"num_nodes": 1, "cpu_threads": 1, "dataset": dataset, "search": search, "augment": augment}
    experiment = parse_workflow({"experiments": {"a": raw}}).experiments["a"]
    settings = stage_settings("a", experiment, "select_arc")
    prepare(stage_settings("a", experiment, "prepare_data"), None, tmp_path)
    data = load_images(settings, tmp_path, CPU)
    supernet = settings.search_space.supernet(settings.search.shape(8, 1, 10))
    initialise(supernet, "tensorflow", torch.Generator().manual_seed(0))
    return Scorer(settings, data, supernet, CPU)


def test_a_row_says_where_an_arc_is_from_how_good_and_how_large_it_is(scorer):
    rows = scorer.rows("policy", ARCS[:2], "controller") + scorer.rows("named", ARCS[2:3])
    assert [each["arc"] for each in rows] == [str(arc) for arc in ARCS[:3]]
    assert [(each["source"], each["policy"], each["space"]) for each in rows] == [
        ("policy", "controller", "micro"),
        ("policy", "controller", "micro"),
        ("named", None, "micro"),
    ]
    for each in rows:
        assert each["valid_accuracy"] == pytest.approx(round(each["valid_accuracy"] * 50) / 50)  # of 50 images
        assert 0 < each["params"] < count_parameters(scorer.supernet)
        assert each["macs"] > 0


def test_scores_are_of_the_held_out_images_and_the_same_each_time(scorer):
    assert len(scorer.valid) == 50
    assert torch.equal(scorer.valid.images, scorer.data.train.images[-50:])
    assert scorer.valid_accuracy(ARCS[0]) == scorer.valid_accuracy(ARCS[0])


def test_rows_do_not_score_again_what_has_been_scored(scorer, monkeypatch):
    before = scorer.valid_accuracy(ARCS[0])
    monkeypatch.setattr(scorer, "valid_accuracy", None)
    assert scorer.rows("policy", ARCS[:1])[0]["valid_accuracy"] == before
