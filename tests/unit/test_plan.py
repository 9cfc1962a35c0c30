"""plan: reading a dry run, the arithmetic of an estimate, list scheduling, and what is printed."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enas_core import plan
from enas_core.planning import calibrate as calibration
from enas_core.planning.calibrate import Clock, Cost, calibrate, num_test
from enas_core.planning.costs import augment_seconds, job_seconds, search_seconds, typical
from enas_core.planning.jobs import Job, chains, explain, makespan, read_jobs
from enas_core.planning.printing import duration
from enas_core.settings.dataset import Source
from enas_core.settings.workflow import load_workflow, parse_workflow

DRY_RUN = """\
Building DAG of jobs...
Job stats:
job           count
----------  -------
augment           2
search            1
select_arc        1
all               1
total             5

[Tue Nov 24 08:53:50 2026]
rule augment:
    input: results/a/config/augment.json, results/a/arcs/random-00.txt
    output: results/a/networks/random-00/seed1/epochs.parquet, results/a/networks/random-00/seed1/model.pt
    reason: Missing output files: results/a/networks/random-00/seed1/model.pt
    wildcards: experiment=a, network=random-00, seed=1
    resources: tmpdir=/tmp, gpu=1
Shell command: python -m enas_core.augment
[Tue Nov 24 08:53:50 2026]
rule search:
    input: results/a/config/search.json
    output: results/a/search/s1/epochs.parquet, results/a/search/s1/supernet.pt
    wildcards: experiment=a, seed=1
[Tue Nov 24 08:53:50 2026]
rule select_arc:
    input: results/a/search/s1/supernet.pt
    output: results/a/search/s1/own/candidates.parquet, results/a/arcs/searched-s1.txt
    wildcards: experiment=a, seed=1
[Tue Nov 24 08:53:50 2026]
rule augment:
    input: results/a/config/augment.json, results/a/arcs/searched-s1.txt
    output: results/a/networks/searched-s1/seed1/epochs.parquet, results/a/networks/searched-s1/seed1/model.pt
    wildcards: experiment=a, network=searched-s1, seed=1
[Tue Nov 24 08:53:50 2026]
localrule all:
    input: results/a/networks/random-00/seed1/model.pt, results/a/networks/searched-s1/seed1/model.pt
Job stats:
job           count
----------  -------
total             5

This was a dry-run (flag -n). The order of jobs does not reflect the order of execution.
"""

NOTHING = "Building DAG of jobs...\nNothing to be done (all requested files are present and up to date).\n"


# --- jobs ---------------------------------------------------------------------------------------


def test_jobs_of_a_dry_run():
    assert read_jobs(DRY_RUN) == [
        Job("augment", {"experiment": "a", "network": "random-00", "seed": "1"}, frozenset()),
        Job("search", {"experiment": "a", "seed": "1"}, frozenset()),
        Job("select_arc", {"experiment": "a", "seed": "1"}, frozenset({1})),
        Job("augment", {"experiment": "a", "network": "searched-s1", "seed": "1"}, frozenset({2})),
        Job("all", {}, frozenset({0, 3})),
    ]
    assert read_jobs(DRY_RUN)[-1].experiment == "-"


def test_no_jobs():
    assert read_jobs(NOTHING) == []


@pytest.mark.parametrize("printed", ["", DRY_RUN.replace("rule search:", "Job 7:"), DRY_RUN[:150]])
def test_a_dry_run_of_another_form(printed):
    with pytest.raises(ValueError, match="does not list its jobs as expected"):
        read_jobs(printed)


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        (
            'Building DAG of jobs...\nInputFunctionException in rule final in file "x.smk", line 54:\nError:\n'
            "  WorkflowError:\n    config.yaml: experiments: 'b' is not there; allowed: a\nWildcards:\n  experiment=b\n"
            'Traceback:\n  File "x.smk", line 56, in <lambda>\n',
            "Error: WorkflowError: config.yaml: experiments: 'b' is not there; allowed: a",
        ),
        ("MissingRuleException:\nNo rule to produce x (if you use input functions).\n", "No rule to produce x (if"),
        ('WorkflowError in file "x.smk", line 12:\nconfig.yaml: a: 1\n  File "x.smk", line 12, in <m>', "config.yaml:"),
        ("usage: x\n__main__.py: error: unrecognized arguments: --nope\n", "__main__.py: error: unrecognized arg"),
        ("", "no output"),
        ("OddError:\n", "OddError:"),
    ],
)
def test_the_message_of_a_failed_dry_run(printed, message):
    assert explain(printed).startswith(message)
    assert "File" not in explain(printed)
    assert "\n" not in explain(printed)


# --- estimates ----------------------------------------------------------------------------------


@pytest.fixture
def experiment():
    """140 training images and 60 test images in batches of 32; 60 of the former are for validation."""
    dataset = {"name": "digits", "source": "digits", "split_test_images": 60, "max_train_images": 140}
    search = {"num_epochs": 3, "batch_size": 32, "aux_head": False, "valid_images": 60}
    search["controller"] = {"updates_per_epoch": 5, "arcs_per_update": 7}
    augment = {"num_epochs": 4, "batch_size": 32, "aux_head": False}
    raw = {"dataset": dataset, "search": search, "augment": augment, "select": {"num_candidates": 11}}
    raw |= {"baseline": {"num_arcs": 2}, "arcs": {"mine": "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 " * 2}}
    return parse_workflow({"experiments": {"a": raw}}).experiments["a"]


COST = Cost(start=1000.0, step=10.0, forward=1.0, once=0.1, memory=1, device="cpu")


@pytest.mark.parametrize(
    ("rule", "seconds"),
    [
        # 3 steps, 5 * 7 rewards and 5 updates, 2 validation and 2 test batches an epoch
        ("search", 1000 + 3 * (3 * 10 + 35 * 1 + 5 * 0.1 + 4 * 1)),
        # 2 validation batches an arc
        ("select_arc", 1000 + 11 * (0.1 + 2 * 1)),
        ("score_arcs", 1000 + 3 * (0.1 + 2 * 1)),
        # 5 steps and 2 test batches an epoch
        ("augment", 1000 + 4 * (5 * 10 + 2 * 1)),
    ],
)
def test_seconds_of_a_job(rule, seconds, experiment):
    assert job_seconds(rule, experiment, COST) == pytest.approx(seconds)


def test_held_out_images_are_evaluated_and_not_trained_on(experiment):
    # 90 images to train on: 3 steps, 2 test and 2 validation batches an epoch
    augment = experiment.augment.model_copy(update={"valid_images": 50})
    held_out = experiment.model_copy(update={"augment": augment})
    assert augment_seconds(held_out, COST) == pytest.approx(1000 + 4 * (3 * 10 + 4 * 1))


def test_sections_may_train_on_fewer_images(experiment):
    # 40 images to train on: 2 steps; the evaluations are the same
    search = experiment.search.model_copy(update={"max_train_images": 40})
    augment = experiment.augment.model_copy(update={"max_train_images": 40})
    fewer = experiment.model_copy(update={"search": search, "augment": augment})
    assert search_seconds(experiment, COST) - search_seconds(fewer, COST) == pytest.approx(3 * 1 * 10)
    assert augment_seconds(experiment, COST) - augment_seconds(fewer, COST) == pytest.approx(4 * 3 * 10)


def test_a_random_policy_has_no_controller_to_train(experiment):
    search = experiment.search.model_copy(update={"policy": "uniform"})
    random = experiment.model_copy(update={"search": search})
    assert search_seconds(random, COST) == pytest.approx(1000 + 3 * (3 * 10 + 4 * 1))


def test_the_typical_cost_is_the_median_with_the_most_memory():
    costs = [Cost(s, 2 * s, 3 * s, 0.0, m, "cpu") for s, m in ((1.0, 5), (9.0, 7), (2.0, 6))]
    assert typical(costs) == Cost(2.0, 4.0, 6.0, 0.0, 7, "cpu")


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ({"name": "cifar10", "source": "parquet"}, 10_000),
        ({"name": "cifar10", "source": "parquet", "max_test_images": 7}, 7),
        ({"name": "digits", "source": "digits", "split_test_images": 60}, 60),
    ],
)
def test_number_of_test_images(source, number):
    assert num_test(Source(**source)) == number


# --- wall-clock time ----------------------------------------------------------------------------


@st.composite
def dags(draw):
    """Seconds and needs of jobs in any order."""
    seconds = draw(st.lists(st.integers(0, 20), min_size=1, max_size=12))
    order = draw(st.permutations(range(len(seconds))))
    needs = [set() for _ in seconds]
    for position, job in enumerate(order):
        needs[job] = draw(st.sets(st.sampled_from(order[:position]), max_size=3)) if position else set()
    return seconds, needs


@given(dags(), st.integers(1, 8))
def test_wall_clock_time_is_within_its_bounds(dag, devices):
    seconds, needs = dag
    longest, total = max(chains(seconds, needs)), sum(seconds)
    time = makespan(seconds, needs, devices)
    assert max(longest, total / devices) <= time
    assert time <= total / devices + longest  # Graham 1966
    assert makespan(seconds, needs, 1) == total
    assert makespan(seconds, needs, len(seconds)) == longest


@given(dags(), st.integers(1, 8))
def test_seconds_may_be_in_any_unit(dag, devices):
    seconds, needs = dag
    assert makespan([4 * s for s in seconds], needs, devices) == 4 * makespan(seconds, needs, devices)


def test_wall_clock_time_of_a_small_example():
    # search 10 -> select 1 -> augment 5; two random arcs of 5 each beside them
    seconds, needs = [10, 1, 5, 5, 5], [set(), {0}, {1}, set(), set()]
    assert chains(seconds, needs) == [16, 6, 5, 5, 5]
    assert [makespan(seconds, needs, n) for n in (1, 2, 3)] == [26, 16, 16]


def test_jobs_without_a_device_wait_for_none():
    assert makespan([9, 0, 0, 3], [set(), set(), {1}, {2}], 1) == 12


# --- calibration --------------------------------------------------------------------------------


def test_a_clock_leaves_the_warm_up_out(monkeypatch):
    times = iter([100.0, 107.0, 109.0, 112.0, 114.0])
    monkeypatch.setattr(calibration.time, "monotonic", lambda: next(times))
    clock = Clock("cpu")
    for _ in range(4):
        clock.step()
    assert clock.seconds() == 2.0
    assert clock.start(began=99.0) == 8.0 - 2.0


def test_a_mistake_in_the_child_is_raised_here(experiment, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # none, for the child
    with pytest.raises(ValueError, match="no CUDA device is there"):
        calibrate("a", experiment, "search", "cuda")


# --- the tool -----------------------------------------------------------------------------------

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


def test_a_plan(tool):
    code, out, err, calls = tool(DRY_RUN, "x", "y", "--gpus", "1,2", "--", "--forceall")
    assert (code, err) == (0, "")
    assert calls == [["x", "y", "--dry-run", "--configfile", "config.yaml", "--forceall"]]
    experiment = load_workflow(plan.Path("config.yaml")).experiments["a"]
    search, select, augment = (job_seconds(r, experiment, COST) for r in ("search", "select_arc", "augment"))
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
