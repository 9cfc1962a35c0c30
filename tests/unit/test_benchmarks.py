"""The yardstick computes the same as the project's networks, and the benchmarks' tables say what was measured."""

from __future__ import annotations

import argparse
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import against
import harness
import large
import models
import startup

from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.micro.sampling import uniform_arc

BATCH, LAYERS, FILTERS = 4, 3, 4
BENCHMARKS = Path(models.__file__).parent
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "parser(__doc__" in path.read_text())
"""The others are what these share."""


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_answers_help(name, monkeypatch, capsys):
    """So all that it imports is there. That it is called as its authors say, mypy checks (`make lint`)."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(name).main()
    assert f"usage: {name}.py" in capsys.readouterr().out


def test_every_script_is_in_the_readme():
    described = re.findall(r"^\| `(\w+)\.py", (BENCHMARKS / "README.md").read_text(), re.MULTILINE)
    assert sorted(described) == SCRIPTS


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


# --- fresh processes -------------------------------------------------------------------------------------------------


def test_run_python_uses_the_given_code_and_reports_what_happened(tmp_path):
    code = tmp_path / "code"
    (code / "enas_core").mkdir(parents=True)
    (code / "enas_core" / "__init__.py").write_text("print('the given code')")
    finished = harness.run_python(["-c", "import enas_core"], code, tmp_path)
    assert finished.output == "the given code\n"
    assert finished.seconds > 0
    assert finished.peak_megabytes > 1


def test_run_python_stops_at_an_unexpected_exit_code(tmp_path):
    harness.run_python(["-c", "raise SystemExit(2)"], tmp_path, tmp_path, expected=2)
    with pytest.raises(SystemExit, match=r"exit code 3 instead of 0(.|\n)*oh"):
        harness.run_python(["-c", "print('oh'); raise SystemExit(3)"], tmp_path, tmp_path)


# --- against.py ------------------------------------------------------------------------------------------------------


def readings(step, arcs):
    """What one side says in one round."""
    return [
        against.Reading("step", "digits", "ms", step, [1.5, 1.25]),
        against.Reading("scoring", "digits", "ms", 10.0, arcs),
        against.Reading("start-up", "", "s", 1.0),
    ]


def test_ratios_are_taken_within_a_round():
    rounds = [
        (readings(10.0, ["a"]), readings(11.0, ["a"])),  # ratio 1.1
        (readings(20.0, ["a"]), readings(24.0, ["b"])),  # ratio 1.2: in this round the whole machine was slower
        (readings(10.0, ["a"]), readings(14.0, ["a"])),  # ratio 1.4
    ]
    step, scoring, start = against.table(rounds)
    assert step["ratio"] == pytest.approx(1.2)
    assert (step["low_quartile"], step["high_quartile"]) == pytest.approx((1.15, 1.3))
    assert step["ratio_of_best"] == pytest.approx(1.1)
    assert (step["revision"], step["working_tree"], step["rounds"]) == (10.0, 14.0, 3)
    assert [row["mark"] for row in (step, scoring, start)] == [against.SLOWER, "", ""]
    assert [row["same_results"] for row in (step, scoring, start)] == [True, False, None]


def test_one_round_is_its_own_median():
    (step, *_) = against.table([(readings(10.0, []), readings(10.2, []))])
    assert step["low_quartile"] == step["ratio"] == step["high_quartile"] == pytest.approx(1.02)
    assert step["mark"] == ""


PRINTED = """
rule search:
    jobid: 3
Shell command: python -m enas_core.config --resolved '{
 "experiment": "digits"
}
' --out results/digits/config/search.json
Shell command: python -m enas_core.search --config results/digits/config/search.json --data results/digits/data --seed 1 --out-dir results/digits/search/s1 --state-dir results/digits/_state/search/s1 --save-every 5.0  --device cpu --log-file results/digits/logs/search-s1.log
"""  # noqa: E501


def test_commands_are_those_that_the_workflow_prints_with_outputs_elsewhere():
    commands = against.printed_commands(PRINTED)
    assert list(commands) == [("digits", "search")]
    moved = against.with_outputs(commands["digits", "search"], Path("new"))
    assert " ".join(moved) == (
        "-m enas_core.search --config results/digits/config/search.json --data results/digits/data --seed 1"
        " --out-dir new --state-dir new/state --save-every 5.0 --device cpu --log-file new/log"
    )


def test_options():
    quick = against.parse(["HEAD", "--quick"])
    assert (quick.sizes, quick.threads, quick.rounds) == (["digits"], 1, 3)
    assert re.fullmatch("[0-9a-f]{7,40}", quick.revision)
    assert against.parse(["HEAD", "--only", "augment", "--sizes", "full"]).only == ["augment"]
    assert against.parse(["HEAD"]).sizes == list(against.SIZES)


@pytest.mark.parametrize(
    "arguments", [["no-such-revision"], ["HEAD", "--only", "nothing"], ["HEAD", "--rounds", "0"], []]
)
def test_wrong_options(arguments):
    with pytest.raises(SystemExit, match="2"):
        against.parse(arguments)


def test_experiments_of_all_sizes_are_valid():
    settings = parse_workflow(against.configuration(list(against.SIZES), threads=1))
    assert list(settings.experiments) == [name for size in against.SIZES for name in (size, f"{size}_few")]


def test_against_head_in_one_round(tmp_path, monkeypatch, capsys):
    """Start-up of HEAD and of the working tree; the copies do not stay."""
    monkeypatch.setattr(against.tempfile, "tempdir", str(tmp_path))
    out = tmp_path / "table.parquet"
    against.main(["HEAD", "--only", "startup", "--rounds", "1", "--out", str(out)])
    frame = pd.read_parquet(out)
    assert frame["what"].tolist() == ["start-up, --help", "start-up, wrong option", "start-up, bad setting"]
    assert (frame["ratio"] > 0).all()
    assert "ratio=" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [out]


def test_copies_do_not_stay_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(against.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(against, "measure_startup", lambda side: side.python("-c", "raise SystemExit(7)"))
    with pytest.raises(SystemExit, match="exit code 7"):
        against.main(["HEAD", "--only", "startup"])
    assert list(tmp_path.iterdir()) == []


def test_a_training_is_measured_from_the_files_that_it_leaves(tmp_path, monkeypatch):
    """The workflow makes what the command needs, with tiny settings, and the command runs once more."""
    tiny = {"num_epochs": 2, "batch_size": 2, "num_layers": 1, "num_filters": 2, "aux_head": False}
    dataset = against.DIGITS | {"max_train_images": 40, "max_test_images": 4}
    search = tiny | {"valid_images": 20, "controller": {"updates_per_epoch": 1, "arcs_per_update": 1}}
    monkeypatch.setitem(against.SIZES, "digits", {"dataset": dataset, "search": search, "augment": tiny})
    side = against.Side("working tree", against.ROOT, tmp_path / "runs")
    settings = against.configuration(["digits"], threads=1)
    side.prepare(against.targets(["search"], ["digits"]), settings, tmp_path, "cpu")
    kept = Path(shutil.copytree(side.folder / "results", tmp_path / "kept"))

    step, epoch, memory = against.measure_search(side, "digits")

    assert (step.what, epoch.what, memory.what) == ("supernet step", "search, whole epoch", "search, peak memory")
    assert min(step.cost, epoch.cost, memory.cost) > 0
    assert step.results == pd.read_parquet(kept / "digits/search/s1/epochs.parquet")["train_loss"].tolist()
    changed = subprocess.run(["diff", "-r", kept, side.folder / "results"], capture_output=True, text=True).stdout
    assert changed == ""


# --- large.py --------------------------------------------------------------------------------------------------------


def test_growth_is_from_the_size_before():
    costs = {100: 2.0, 1000: 20.0, 10_000: 2000.0}
    table = [{"networks": networks, "what": "compare", "cpu_seconds": cost} for networks, cost in costs.items()]
    table.insert(1, {"networks": 100, "what": "report (MB)", "size": 1.0})
    found = large.with_exponents(table)
    assert [row.get("exponent") for row in found] == [None, None, pytest.approx(1), pytest.approx(2)]


# --- startup.py ------------------------------------------------------------------------------------------------------


def test_heaviest_packages():
    printed = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |   torch._C
error: something else on the same stream
import time:   1500000 |    1500100 | torch
import time:    250000 |     250000 | pandas
import time:        10 |         10 | os
"""
    assert startup.heaviest(printed).startswith("torch 1.50 s, pandas 0.25 s, os 0.00 s")


def test_questions_are_answered_as_expected(tmp_path):
    """Each mistake is the one that its name says."""
    expected = {"--help": "usage", "wrong option": "error", "bad setting": "searhc", "bad table": "not a readable"}
    asked = startup.questions(tmp_path)
    assert list(asked)[:4] == list(expected)
    for name, text in expected.items():
        finished = harness.run_python(asked[name].arguments, startup.ROOT, tmp_path, asked[name].exit_code)
        assert text in finished.output.lower()
