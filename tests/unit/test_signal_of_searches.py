"""The signal check of supernets that have and have not learned, as select_arc makes it, and the search's warning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from enas_core import search, select_arc
from enas_core.analysis.signal import chance_level, check, sentence
from enas_core.data.prepare import prepare
from enas_core.files.tables import read_provenance, read_table
from enas_core.policies.policy import Policy
from enas_core.settings.stages import STAGES, stage_settings, to_json
from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.saved import save_supernet
from enas_core.spaces.space import Arc
from enas_core.training.evaluation import child_accuracy
from enas_core.training.images import load_images
from enas_core.training.randomness import draw_for
from enas_core.training.scoring import Scorer, check_signal
from enas_core.training.supernet import SupernetTraining

CPU = torch.device("cpu")

EXPERIMENT: dict[str, Any] = {
    "num_nodes": 2,
    "cpu_threads": 1,
    "preset": "corrected",
    "dataset": {
        "name": "digits",
        "source": "digits",
        "split_test_images": 100,
        "augmentation": {"crop_padding": 0, "flip": False},
    },
    "search": {
        "policy": "uniform",
        "num_epochs": 8,
        "batch_size": 32,
        "num_layers": 2,
        "num_filters": 8,
        "aux_head": False,
        "keep_prob": 1.0,
        "drop_path_keep_prob": 1.0,
        "lr_max": 0.1,
        "lr_t_0": 8,
        "valid_images": 500,
    },
    "select": {"num_candidates": 12},
    "augment": {"aux_head": False},
}


class Unwatched:
    """Nobody saves the state."""

    def step(self) -> None: ...

    def save(self) -> None: ...


def proposals(policy: Policy, count: int, seed: int) -> list[Arc]:
    """Distinct arcs of a policy."""
    return list(dict.fromkeys(policy.propose(4 * count, draw_for(seed, "candidates"))))[:count]


class Bench:
    """Prepared digits with settings, on which supernets are trained and scored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        experiment = parse_workflow({"experiments": {"bench": EXPERIMENT}}).experiments["bench"]
        stages = {stage: stage_settings("bench", experiment, stage) for stage in STAGES}
        for stage, values in stages.items():
            (folder / f"{stage}.json").write_text(to_json(values))
        self.search_settings, self.settings = stages["search"], stages["select_arc"]
        prepare(stages["prepare_data"], None, folder / "data")
        self.data = load_images(self.search_settings, folder / "data", CPU)

    def training(self, **changes: Any) -> SupernetTraining:
        """A search that has not begun, with some settings changed."""
        values = self.search_settings.search.model_copy(update=changes)
        return SupernetTraining(self.search_settings.model_copy(update={"search": values}), self.data, 1, CPU)

    def check(self, training: SupernetTraining) -> dict[str, Any]:
        """The signal check of a supernet, as select_arc makes it."""
        scorer = Scorer(self.settings, self.data, training.supernet, CPU)
        arcs = proposals(training.policy, self.settings.select.num_candidates, 1)
        scorer.rows("policy", arcs)
        return check_signal(self.settings, scorer, arcs, 1)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def learned(bench: Bench) -> SupernetTraining:
    training = bench.training()
    training.train(Unwatched())
    return training


def test_an_untrained_supernet_has_not_learned(bench):
    row = bench.check(bench.training())
    words = sentence(row["verdict"], row)
    assert words.startswith("the shared weights have not learned: candidates ")
    assert words.endswith("their order is noise; the selected arc is a random one")


def test_a_supernet_trained_on_shuffled_labels_has_not_learned(bench, monkeypatch):
    train, held_out = bench.data.train, bench.search_settings.search.valid_images
    order = torch.randperm(len(train) - held_out, generator=torch.Generator().manual_seed(0))
    order = torch.cat([order, torch.arange(len(train) - held_out, len(train))])
    shuffled = bench.data._replace(train=replace(train, labels=train.labels[order]))
    with monkeypatch.context() as patch:
        patch.setattr(bench, "data", shuffled)
        training = bench.training(num_epochs=2, lr_t_0=2)
    training.train(Unwatched())
    row = bench.check(training)
    assert "the shared weights have not learned" in sentence(row["verdict"], row)


def test_a_supernet_that_has_learned_says_that_the_order_repeats(bench, learned):
    row = bench.check(learned)
    words = sentence(row["verdict"], row)
    assert words.startswith("the shared weights have learned: candidates ")
    assert "the order of the arcs repeats" in words
    assert "mean" not in words


def test_twins_are_not_told_apart(bench, learned):
    """One and the same arc, scored again and again on the images in another order: it answers differently, as its batch
    statistics are others, and no better or worse."""
    scorer = Scorer(bench.settings, bench.data, learned.supernet, CPU)
    valid, labels = scorer.valid, scorer.valid.labels.numpy()
    tried = {arc: scorer.valid_accuracy(arc) for arc in proposals(learned.policy, 16, 1)}
    best = max(tried, key=tried.get)
    twins = []
    for seed in range(12):
        order = torch.randperm(len(valid), generator=torch.Generator().manual_seed(seed))
        scorer.valid = replace(valid, images=valid.images[order], labels=valid.labels[order])
        scorer.valid_accuracy(best)
        answers = np.empty(len(valid), bool)
        answers[order.numpy()] = scorer.answers[best]
        twins.append(answers)
    assert len({tuple(answers) for answers in twins}) == 12
    row = check(np.stack(twins), labels)
    assert row["verdict"] == "order is noise"
    assert "have learned" in sentence(row["verdict"], row)
    assert "do not tell these arcs apart" in sentence(row["verdict"], row)


def test_kept_answers_are_the_accuracy(bench, learned):
    scorer = Scorer(bench.settings, bench.data, learned.supernet, CPU)
    (arc,) = proposals(learned.policy, 1, 7)
    accuracy = scorer.valid_accuracy(arc)
    assert scorer.answers[arc].shape == (500,)
    assert accuracy == scorer.answers[arc].mean()
    batch = slice(0, 32)
    images = scorer.valid.images[batch] * scorer.valid.scale + scorer.valid.shift
    right = child_accuracy(scorer.supernet, arc, images.permute(0, 3, 1, 2), scorer.valid.labels[batch])
    assert 0 <= float(right) <= 1
    assert float(right * 32) == int(right * 32)


# --- the commands ------------------------------------------------------------------------------


def test_select_arc_writes_the_check_and_says_it(bench, learned, tmp_path, capsys):
    save_supernet(tmp_path / "supernet.pt", learned.supernet, learned.policy.state_dict())
    options = ["--config", bench.folder / "select_arc.json", "--data", bench.folder / "data", "--seed", 1]
    options += ["--supernet", tmp_path / "supernet.pt", "--device", "cpu"]
    own, signal = tmp_path / "own", tmp_path / "signal.parquet"
    assert select_arc.main([str(o) for o in (*options, "--out-dir", own, "--signal-out", signal)]) == 0
    said = capsys.readouterr().err
    (row,) = read_table(signal, "signal")
    assert row["seconds"] > 0
    assert row == bench.check(learned) | {"seconds": row["seconds"]}
    assert f"search seed 1: {sentence(row['verdict'], row)}" in said
    assert set(read_provenance(signal)) >= {"enas_version", "device", "config_fingerprint"}
    candidates = read_table(own / "candidates.parquet", "candidates")
    accuracies = [candidate["valid_accuracy"] for candidate in candidates]
    assert (row["candidates_low"], row["candidates_high"]) == (min(accuracies), max(accuracies))

    before = signal.read_bytes()
    again = [*options, "--own", own / "candidates.parquet", "--out-dir", tmp_path]
    assert select_arc.main([str(o) for o in again]) == 0
    assert signal.read_bytes() == before
    assert "the shared weights" not in capsys.readouterr().err
    assert select_arc.main([str(o) for o in (*again, "--signal-out", signal)]) == 2
    assert "--signal-out" in capsys.readouterr().err


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What is logged meanwhile."""
    lines: list[str] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("enas_core")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_search_at_chance_says_so_once_after_a_quarter_of_its_epochs(bench, tmp_path, capsys):
    settings = bench.search_settings
    still = settings.search.model_copy(update={"num_epochs": 5, "lr_max": 1e-9, "lr_min": 0.0, "batch_size": 600})
    (tmp_path / "search.json").write_text(to_json(settings.model_copy(update={"search": still})))
    options = ["--config", tmp_path / "search.json", "--data", bench.folder / "data", "--seed", 1, "--device", "cpu"]
    options += ["--out-dir", tmp_path / "out", "--state-dir", tmp_path / "state"]
    assert search.main([str(option) for option in options]) == 0
    lines = capsys.readouterr().err.splitlines()
    (warning,) = [i for i, line in enumerate(lines) if "still at chance" in line]
    assert "epoch 2/5" in lines[warning - 1]  # a quarter of five, rounded up
    chance = chance_level(bench.data.train.labels[-500:].numpy())
    assert f"where guessing gives {chance:.4f}" in lines[warning]


def test_a_search_that_learns_does_not_warn(bench, heard):
    training = bench.training(num_epochs=4)
    training.warn_at_chance(0.6)
    assert heard == []
    training.warn_at_chance(0.12)
    assert len(heard) == 1
    training.at.next_epoch()
    training.warn_at_chance(0.12)
    assert len(heard) == 1
