"""random_arcs, as a tool and as a stage."""

import json
import subprocess
import sys

import pytest

from enas_core import random_arcs
from enas_core.files.tables import read_provenance, read_table
from enas_core.random_arcs import drawn
from enas_core.settings.baseline import RandomArcs
from enas_core.settings.networks import random_network
from enas_core.settings.stages import RandomArcsStage, fingerprint, to_json
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.sampling import reference_arc, uniform_arc
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro

SPACE = Micro(MicroSettings())
SEED_0 = "1 4 0 0 1 3 0 3 1 3 0 1 1 3 0 2 1 1 0 0 1 4 0 0 1 0 0 4 1 2 0 1 1 0 0 1 1 1 0 4"


def stage_settings(sampler="uniform", seed=5, num_nodes=5):
    values = {"experiment": "tiny", "space": "micro", "space_settings": {"num_nodes": num_nodes}}
    return RandomArcsStage(**values, random_arcs=RandomArcs(sampler=sampler, seed=seed))


@pytest.fixture
def stage(tmp_path):
    """Runs the stage in tmp_path: the table of `count` arcs; returns exit code and rows."""

    def run(count, settings=None):
        path, out = tmp_path / "random_arcs.json", tmp_path / "random_arcs.parquet"
        path.write_text(to_json(settings or stage_settings()))
        code = random_arcs.main(["--config", str(path), "--count", str(count), "--out", str(out)])
        return code, read_table(out, "random_arcs") if out.exists() else None

    return run


def test_prints_the_reference_arc(capsys):
    assert random_arcs.main(["--sampler", "reference", "--seed", "0", "--count", "1"]) == 0
    assert capsys.readouterr().out == f"{SEED_0}\n"


def test_prints_with_the_settings_defaults(capsys):
    assert random_arcs.main([]) == 0
    defaults = RandomArcs()
    assert capsys.readouterr().out == f"{SPACE.samplers[defaults.sampler](defaults.seed)}\n"


def test_prints_one_a_line(capsys):
    assert random_arcs.main(["--seed", "7", "--num-nodes", "3", "--count", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [str(uniform_arc(seed, 3)) for seed in (7, 8, 9, 10)]


@pytest.mark.parametrize("sampler", SPACE.samplers)
def test_arc_i_of_a_seed_is_arc_0_of_seed_plus_i(sampler):
    arcs = drawn(SPACE, RandomArcs(sampler=sampler, seed=3), 6)
    singles = [drawn(SPACE, RandomArcs(sampler=sampler, seed=3 + i), 1)[0] for i in range(6)]
    assert arcs == singles


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num-nodes", "17"], "--num-nodes: 17: allowed is less than or equal to 16"),
        (["--num-nodes", "0"], "--num-nodes: 0: allowed is greater than or equal to 1"),
        (["--seed", "-1"], "--seed: -1: allowed is greater than or equal to 0"),
        (["--sampler", "reference", "--num-nodes", "4"], "the reference sampler makes arcs of 5 nodes, not 4"),
        (["--out", "x.parquet"], "--index, --out and --arc-out need --config"),
        (["--config", "x.json", "--count", "2"], "--config needs --count and --out, or --index and --arc-out"),
        (
            ["--config", "x.json", "--num-nodes", "5"],
            "--num-nodes: --config says it already, give one of the two",
        ),
        (["--config", "x.json", "--count", "1", "--out", "x"], "x.json: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert random_arcs.main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"error: {message}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("count", "allowed"), [("-1", "greater than or equal to 0"), ("1000001", "less than")])
def test_count_out_of_range(capsys, count, allowed):
    with pytest.raises(SystemExit, match="2"):
        random_arcs.main(["--count", count])
    assert f"argument --count: '{count}': allowed is {allowed}" in capsys.readouterr().err


def test_table(stage):
    code, rows = stage(3)
    assert code == 0
    assert rows == [
        {"network": f"random-0{i}", "sampler": "uniform", "seed": 5, "index": i}
        | {"space": "micro", "arc": str(uniform_arc(5 + i))}
        for i in range(3)
    ]


def test_text_file_of_one_arc(stage, tmp_path):
    _, rows = stage(3)
    out = tmp_path / "random-02.txt"
    config_file = str(tmp_path / "random_arcs.json")
    assert random_arcs.main(["--config", config_file, "--index", "2", "--arc-out", str(out)]) == 0
    assert out.read_text() == f"{rows[2]['arc']}\n"


def test_reference_sampler_and_num_nodes_as_a_stage(stage):
    assert stage(1, stage_settings("reference", 0))[1][0]["arc"] == str(reference_arc(0))
    assert MicroArc.parse(stage(1, stage_settings(num_nodes=2))[1][0]["arc"]).num_nodes == 2


def test_no_arcs_make_an_empty_table(stage):
    assert stage(0) == (0, [])


def test_more_arcs_leave_the_first_ones_alone(stage):
    _, first = stage(2)
    _, more = stage(4)
    assert more[:2] == first


def test_names_are_as_wide_as_needed():
    assert [random_network(i).name for i in (0, 9, 10, 99, 100)] == [
        f"random-{text}" for text in ("00", "09", "10", "99", "100")
    ]


def test_provenance_names_the_settings(stage, tmp_path):
    stage(1)
    made_by = read_provenance(tmp_path / "random_arcs.parquet")
    assert made_by["device"] == "cpu"
    assert made_by["config_fingerprint"] == fingerprint(stage_settings())


def test_a_mistake_in_the_settings_writes_nothing(stage, capsys):
    assert stage(2, stage_settings("reference", num_nodes=4)) == (2, None)
    assert capsys.readouterr().err == "error: the reference sampler makes arcs of 5 nodes, not 4\n"


def test_starts_without_the_heavy_libraries():
    heavy = ["torch", "torchvision", "sklearn", "scipy", "matplotlib", "pandas"]
    program = "import json, sys, enas_core.random_arcs; print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(heavy) & set(json.loads(result.stdout))
