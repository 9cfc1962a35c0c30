"""The yardstick computes the same as the project's networks, and the benchmarks' tables say what was measured."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import harness
import models

from enas_core.spaces.micro.sampling import uniform_arc

BATCH, LAYERS, FILTERS = 4, 3, 4


def inputs():
    images, labels = models.batch(BATCH)
    return images.double(), labels


def losses_and_weights(step, network):
    losses = [float(step(k)) for k in range(3)]
    return torch.tensor(losses), {name: p.detach().clone() for name, p in network.named_parameters()}


def assert_same(project, plain):
    torch.testing.assert_close(project[0], plain[0], rtol=1e-10, atol=0)
    for name, value in plain[1].items():
        torch.testing.assert_close(
            project[1][name], value, rtol=1e-8, atol=1e-10, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_supernet_and_yardstick_take_the_same_steps():
    sizes = {"num_layers": LAYERS, "num_filters": FILTERS}
    project, plain = models.supernet(**sizes).double(), models.plain_supernet(**sizes).double()
    steps = models.supernet_step(project, *inputs()), models.plain_supernet_step(plain, *inputs())
    assert_same(losses_and_weights(steps[0], project), losses_and_weights(steps[1], plain))


@pytest.mark.parametrize("seed", range(3))
def test_network_and_yardstick_take_the_same_steps(seed):
    arc = uniform_arc(seed)
    project = models.network(arc, LAYERS, FILTERS).double()
    plain = models.plain_network(arc, LAYERS, FILTERS).double()
    given = *inputs(), *(factor.double() for factor in models.factors(project, BATCH))
    steps = models.network_step(project, *given), models.plain_network_step(plain, *given)
    assert_same(losses_and_weights(steps[0], project), losses_and_weights(steps[1], plain))


def test_supernet_and_yardstick_score_a_child_alike():
    sizes = {"num_layers": LAYERS, "num_filters": FILTERS}
    images, labels = models.batch(64)
    project, plain = models.supernet(**sizes), models.plain_supernet(**sizes)
    scores = models.forward(project, images, labels), models.plain_forward(plain, images, labels)
    for k in range(2):
        assert float(scores[0](k)) == pytest.approx(float(scores[1](k)), abs=1e-6)


def test_modes_do_the_same_rounds_in_turn():
    calls = []
    modes = {name: lambda k, name=name: calls.append((name, k)) for name in "ab"}
    times = harness.alternate(modes, rounds=2)
    assert calls == [("a", 0), ("b", 0)] * 2 + [("a", 1), ("b", 1)]
    assert [len(values) for values in times.values()] == [2, 2]


def test_table_and_headline(tmp_path, capsys):
    times = {"yardstick": [4.0, 6.0, 8.0], "project": [2.0, 2.0, 2.0]}
    table = harness.rows("step", times, "yardstick", images=12)
    out = tmp_path / "new" / "table.parquet"
    harness.finish(table, table[-1]["ratio"], "name", argparse.Namespace(out=out))
    frame = pd.read_parquet(out)
    assert frame["ratio"].tolist() == [1.0, 3.0]
    assert frame["median_ms"].tolist() == [6000.0, 2000.0]
    assert frame["images_per_second"].tolist() == [2.0, 6.0]
    assert capsys.readouterr().out.splitlines()[-1] == "ratio=3"
