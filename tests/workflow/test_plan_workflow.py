"""enas_core.plan on real dry runs."""

from __future__ import annotations

import re
import subprocess
import sys

from workspace import ROOT, Workspace

from enas_core.planning.run_times import FILE, read_run_times


def plan(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "enas_core.plan", "--configfile", str(workspace.config), "--device", "cpu"]
    command += [*arguments, "--", "--snakefile", str(ROOT / "Snakefile")]
    return subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True)


def rows(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, ...], list[str]]:
    """Figures by experiment and rule, or by `total`, or by number of devices."""
    lines = [line.split() for line in done.stdout.splitlines()]
    table = {tuple(words[:2]): words[2:] for words in lines if len(words) == 5 and words[0] == "tiny"}
    return table | {tuple(words[:1]): words[1:] for words in lines if words and words[0] in ("total", "1", "3")}


def test_a_fresh_workspace(fresh: Workspace) -> None:
    done = plan(fresh, "results/tiny/comparison.parquet", "--gpus", "1,3")
    assert done.returncode == 0, done.stderr
    table = rows(done)
    jobs = {key[1]: int(figures[0]) for key, figures in table.items() if key[0] == "tiny"}
    assert {"search": 1, "select_arc": 1, "score_arcs": 1, "augment": 4, "compare": 1}.items() <= jobs.items()
    assert int(table["total",][0]) == sum(jobs.values())
    for rule in ("search", "select_arc", "score_arcs", "augment"):
        assert all(float(figure) > 0 for figure in table["tiny", rule]), rule
    assert table["tiny", "compare"] == ["1", "-", "-"]
    assert ("1",) in table
    assert ("3",) in table
    assert "cpu (1 threads)" in done.stdout
    assert "\ntiny: 1 found against 2 random networks: no difference can show, p is 0.333 at best" in done.stdout
    assert not fresh.results.exists()


def test_what_is_there_costs_nothing(copy: Workspace) -> None:
    done = plan(copy, "results/tiny/final.pt")
    assert (done.returncode, done.stdout) == (0, "nothing to do: all files are there and up to date\n"), done.stderr
    done = plan(copy, "results/tiny/comparison.parquet")
    table = rows(done)
    assert table["tiny", "augment"][0] == "3"
    assert ("tiny", "search") not in table
    assert "measuring tiny search" not in done.stderr


def test_an_unknown_experiment(fresh: Workspace) -> None:
    done = plan(fresh, "results/nowhere/final.pt")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "config.yaml: experiments: 'nowhere' is not there; allowed: tiny, tiny_transfer" in line


def minutes(workspace: Workspace, *options: str) -> dict[str, int]:
    """The run time that each rule's jobs ask for, by rule."""
    done = workspace.run("-n", "--forceall", "results/tiny/comparison.parquet", *options)
    assert done.returncode == 0, done.stderr
    of_a_job = re.compile(r"^rule (\w+):\n(?: +.*\n)*? +resources: .*runtime=(\d+)", re.MULTILINE)
    return {rule: int(runtime) for rule, runtime in of_a_job.findall(done.stdout)}


def test_a_saved_plan_gives_the_jobs_their_run_time_and_reruns_nothing(copy: Workspace) -> None:
    unplanned = minutes(copy)
    assert unplanned["augment"] == 48 * 60
    done = plan(copy, "results/tiny/comparison.parquet", "--save")
    assert done.returncode == 0, done.stderr
    kept = read_run_times(copy.results / FILE)["tiny"]
    assert set(kept) == {"augment"}  # the search and its candidates are there already

    planned = minutes(copy)
    assert planned == unplanned | {rule: run_time.minutes() for rule, run_time in kept.items()}
    assert minutes(copy, "--attempt", "2")["augment"] == 2 * planned["augment"]
    assert copy.make("results/tiny/final.pt") == []

    copy.edit(augment__num_epochs=3)
    assert minutes(copy) == planned | {"augment": 48 * 60}


def test_a_broken_file_of_run_times_is_named(copy: Workspace) -> None:
    (copy.results / FILE).write_text("{")
    assert f"results/{FILE}: not what `python -m enas_core.plan --save` writes" in copy.fail("results/tiny/final.pt")
