"""plan: what it prints of a dry run, and its mistakes."""

import subprocess
import sys

import pytest
from planned import COST, DRY_RUN, NOTHING

from enas_core import plan
from enas_core.planning.costs import job_seconds
from enas_core.planning.printing import duration
from enas_core.planning.run_times import FILE, conditions, read_run_times
from enas_core.settings.workflow import load_workflow

CONFIG = """\
experiments:
  a:
    dataset: {name: digits, source: digits, split_test_images: 60}
    search: {aux_head: false, valid_images: 60, num_epochs: 1}
    augment: {aux_head: false, num_epochs: 1}
"""


@pytest.fixture
def tool(tmp_path, monkeypatch, capsys):
    """Runs plan with a dry run that prints a given text, or `forced` where all jobs are forced; returns exit code,
    stdout and stderr."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "calibrate", lambda *_: [COST._replace(memory=3 * 10**9)])

    def run(printed, *arguments, code=0, forced=None):
        calls = []

        def snakemake(command, **_):
            calls.append(command[3:])
            return subprocess.CompletedProcess(command, code, forced if forced and "--forceall" in command else printed)

        monkeypatch.setattr(subprocess, "run", snakemake)
        exit_code = plan.main(list(arguments))
        return exit_code, *capsys.readouterr(), calls

    return run


def test_variants_cost_what_their_experiment_does(tool):
    path = plan.Path("config.yaml")
    path.write_text(path.read_text() + "    ablation: {seeds: [1]}\n")
    names = [f"a/variants/{name}" for name in ("original", "corrected-clip_norm")]
    printed = DRY_RUN
    for name in names:
        printed = printed.replace("wildcards: experiment=a,", f"wildcards: experiment={name},", 1)
    code, out, err, _ = tool(printed, "x")
    assert (code, err) == (0, "")
    rows = [line.split()[:2] for line in out.splitlines()]
    assert all(any(row[:1] == [name] for row in rows) for name in names)
    assert "variants" not in out.split("experiment ")[0]  # the lines that say what was measured
    code, _, err, _ = tool(DRY_RUN.replace("experiment=a", "experiment=a/variants/no"), "x")
    assert code == 2
    assert "config.yaml: experiments.a.ablation: 'no' is none of its variants" in err


def test_a_plan(tool):
    code, out, err, calls = tool(DRY_RUN, "x", "y", "--gpus", "1,2", "--", "--forceall")
    assert (code, err) == (0, "")
    assert calls == [["x", "y", "--dry-run", "--configfile", "config.yaml", "--forceall"]]
    experiment = load_workflow(plan.Path("config.yaml")).experiments["a"]
    images = experiment.dataset.used
    search, select, augment = (job_seconds(r, experiment, images, COST) for r in ("search", "select_arc", "augment"))
    rows = [line.split() for line in out.splitlines()]
    assert ["a", "augment", "2", f"{2 * augment / 3600:.3g}", "3.00"] in rows
    assert ["total", "5", f"{(search + select + 2 * augment) / 3600:.3g}", "3.00"] in rows
    assert ["-", "all", "1", "-", "-"] in rows
    assert ["1", duration(search + select + 2 * augment)] in rows
    assert ["2", duration(search + select + augment)] in rows
    assert "remaining part is counted whole" in out


COMPARED = DRY_RUN.replace("5\n", "6\n").replace(
    "localrule all:",
    "localrule compare:\n    output: results/a/comparison.parquet\n    wildcards: experiment=a\nlocalrule all:",
)
"""The same with a comparison."""
SHOWN = (
    "What can be shown\na: 1 found against 8 random networks: no difference can show, p is 0.111 at best;"
    " p < 0.05 needs at least 20 random networks\n"
)


def test_a_plan_ends_with_what_its_comparison_can_show(tool):
    code, out, err, _ = tool(COMPARED, "x")
    assert (code, err) == (0, "")
    assert out.endswith(f"\n\n{SHOWN}")
    assert "What can be shown" not in tool(DRY_RUN, "x")[1]


def test_it_is_said_also_when_nothing_is_left_to_do(tool):
    code, out, err, calls = tool(NOTHING, "x", "--", "--quiet", forced=COMPARED)
    assert (code, err) == (0, "")
    assert out == f"nothing to do: all files are there and up to date\n\n{SHOWN}"
    assert [call[-2:] for call in calls] == [["config.yaml", "--quiet"], ["--forceall", "--quiet"]]


def test_nothing_to_do(tool):
    assert tool(NOTHING, "x")[:3] == (0, "nothing to do: all files are there and up to date\n", "")


@pytest.mark.parametrize(
    ("printed", "status", "arguments", "message"),
    [
        ("MissingRuleException:\nNo rule to produce x.\n", 1, [], "Snakemake's dry run failed: No rule to produce x."),
        (DRY_RUN.replace("experiment=a", "experiment=b"), 0, [], "config.yaml: experiments: 'b' is not there; allow"),
        (DRY_RUN, 0, ["--configfile", "none.yaml"], "none.yaml: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(tool, printed, status, arguments, message):
    code, out, err, _ = tool(printed, "x", *arguments, code=status)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"error: {message}")


@pytest.mark.parametrize("text", ["0", "1,", "-1", "x", "1.5", ""])
def test_wrong_numbers_of_gpus(text, capsys):
    with pytest.raises(SystemExit, match="2"):
        plan.main([f"--gpus={text}", "x"])
    assert "--gpus: " in capsys.readouterr().err


def test_starts_without_torch():
    program = "import sys, enas_core.plan; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_run_times_are_kept_when_asked_for(tool):
    file = plan.RESULTS / FILE
    assert tool(DRY_RUN, "x")[0] == 0
    assert not file.exists()
    code, _, err, _ = tool(DRY_RUN, "x", "--save")
    assert (code, err) == (0, f"written: {file}\n")
    experiment = load_workflow(plan.Path("config.yaml")).experiments["a"]
    kept = read_run_times(file)["a"]
    assert set(kept) == {"search", "select_arc", "score_arcs", "try_strategy", "augment"}
    for rule, run_time in kept.items():
        assert run_time.seconds == job_seconds(rule, experiment, experiment.dataset.used, COST)
        assert run_time.conditions == conditions("a", experiment, rule)
