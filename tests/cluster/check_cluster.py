"""Real Snakemake runs through the cluster profiles on a real Slurm: make test-cluster."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from once import made_once
from slurm import HOST, Slurm

from enas_core.files.schemas import BY_MACHINE

ROOT = Path(__file__).parents[2]
TIME_LIMIT = 300  # seconds for anything that is waited for
COMPARISON = "results/tiny/comparison.parquet"
SEARCH = "results/long/search/s1/supernet.pt"
NAMES = [f"random-0{i}" for i in range(3)]
TRAININGS = [f"results/many/networks/{name}/seed1/model.pt" for name in NAMES]
GOES_ON = re.compile(r"goes on at epoch \d")
GPUS = {"0", "1"}
# What a word with a space, an option and an empty text become on the node is seen in the job's log.
STRINGS = ["data_path=/some where", "tensorboard=true", "save_every=0.5"]


def wait_for(condition: Callable[[], object]) -> None:
    """Until it holds."""
    end = time.monotonic() + TIME_LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


class Workspace:
    """A working folder with tests/configs/tiny.yaml and `long`, whose search is long enough to be interrupted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config, self.output = folder, folder / "tests.yaml", folder / "output"
        content = yaml.safe_load((ROOT / "tests/configs/tiny.yaml").read_text())
        content["experiments"]["long"] = {"extends": "tiny", "search": {"num_epochs": 60}}
        self.config.write_text(yaml.safe_dump(content))

    @property
    def search_log(self) -> str:
        return (self.folder / "results/long/logs/search-s1.log").read_text()

    def start(self, environment: dict[str, str], *arguments: str, target: str) -> subprocess.Popen[bytes]:
        """Snakemake, which prints to the file `output`. Spaces separate targets."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "-d", str(self.folder)]
        command += ["--configfile", str(self.config), *arguments, "--", *target.split()]
        environment = environment | {"OMP_WAIT_POLICY": "PASSIVE"}
        with self.output.open("wb") as output:
            return subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT, env=environment)

    def is_training(self) -> bool:
        """Whether the search has saved its state."""
        return (self.folder / "results/long/_state/search/s1/previous.state").exists()

    def tables(self) -> dict[str, pd.DataFrame]:
        """All result tables without what clock and machine decide."""
        results = self.folder / "results"
        return {
            str(path.relative_to(results)): without_times(pd.read_parquet(path)) for path in results.rglob("*.parquet")
        }


def without_times(table: pd.DataFrame) -> pd.DataFrame:
    """A table's results."""
    return table[[name for name in table.columns if name not in BY_MACHINE]]


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    """Tables are equal to the bit."""
    assert set(found) == set(expected)
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True, obj=name)


class Cluster:
    """Runs of Snakemake that submit to Slurm."""

    def __init__(self, slurm: Slurm) -> None:
        self.slurm = slurm
        self.runs: list[subprocess.Popen[bytes]] = []

    def start(self, workspace: Workspace, *arguments: str, target: str = SEARCH) -> subprocess.Popen[bytes]:
        """Snakemake with the Slurm profile; the first look at the jobs comes early."""
        profile = ["--profile", str(ROOT / "workflow/profiles/slurm"), "--slurm-init-seconds-before-status-checks", "1"]
        return self.start_with(workspace, *profile, *arguments, target=target)

    def start_with(self, workspace: Workspace, *arguments: str, target: str) -> subprocess.Popen[bytes]:
        """Snakemake, with a profile among the arguments."""
        process = workspace.start(self.slurm.environment, *arguments, target=target)
        self.runs.append(process)
        return process

    def finish(self, workspace: Workspace, process: subprocess.Popen[bytes]) -> None:
        """Let Snakemake end well."""
        assert process.wait(TIME_LIMIT) == 0, workspace.output.read_text()

    def start_and_train(self, workspace: Workspace, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
        """Snakemake, when its one job trains, and the job's id."""
        process = self.start(workspace, *arguments)
        wait_for(lambda: process.poll() is not None or workspace.is_training())
        assert process.poll() is None, workspace.output.read_text()
        (job,) = self.slurm.run("squeue", "--noheader", "--states=RUNNING", "--format=%A").split()
        return process, job

    def jobs(self) -> set[str]:
        """Ids of all jobs so far."""
        return set(self.slurm.run("squeue", "--noheader", "--states=all", "--format=%A").split())

    def facts(self, job: str) -> dict[str, str]:
        """What Slurm says about a job."""
        return dict(re.findall(r"(\S+?)=(\S+)", self.slurm.run("scontrol", "show", "job", job)))

    def state(self, job: str) -> str:
        return self.facts(job)["JobState"]

    def close(self) -> None:
        """End what a failed test has left."""
        for process in self.runs:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.slurm.run("scontrol", "update", f"nodename={HOST}", "state=resume", check=False)
        self.slurm.cancel_all()


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """Started once."""
    with Slurm() as slurm:
        yield slurm


@pytest.fixture
def cluster(slurm: Slurm) -> Iterator[Cluster]:
    """Slurm without jobs, before and after."""
    cluster = Cluster(slurm)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The comparison of `tiny` and the search of `long` without a cluster; not to be changed."""

    def make(folder: Path) -> None:
        workspace = Workspace(folder)
        process = workspace.start(dict(os.environ), "--cores", "2", target=f"{COMPARISON} {SEARCH}")
        assert process.wait(TIME_LIMIT) == 0, workspace.output.read_text()

    return Workspace(made_once(tmp_path_factory, "local", make))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty one."""
    return Workspace(tmp_path)


@pytest.fixture
def unsearched(local: Workspace, tmp_path: Path) -> Workspace:
    """A copy of `local` as it was before the search of `long`."""
    subprocess.run(["cp", "-a", f"{local.folder}/.", str(tmp_path)], check=True)
    for folder in ("results/long/search", "results/long/_state"):
        shutil.rmtree(tmp_path / folder)
    return Workspace(tmp_path)


def gpus_in_use(folder: Path) -> dict[str, str | None]:
    """CUDA_VISIBLE_DEVICES of each GPU stage that runs in a folder, by the stage's command."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = process.joinpath("cmdline").read_text().split("\0")
            if re.fullmatch(r"enas_core\.(search|select_arc|augment)", command[2]):
                variables = dict(v.partition("=")[::2] for v in process.joinpath("environ").read_text().split("\0"))
                if process.joinpath("cwd").samefile(folder):
                    found[" ".join(command)] = variables.get("CUDA_VISIBLE_DEVICES")
        except (IndexError, OSError, UnicodeDecodeError):  # nothing of ours, or it has ended
            continue
    return found


def test_same_tables_and_each_job_its_gpu(cluster: Cluster, local: Workspace, workspace: Workspace) -> None:
    arguments = ["--config", *STRINGS, "--set-resources", "augment:device=cpu", "--slurm-keep-successful-logs"]
    process = cluster.start(workspace, *arguments, target=COMPARISON)
    samples = []

    def has_ended() -> bool:
        samples.append(gpus_in_use(workspace.folder))
        return process.poll() is not None

    wait_for(has_ended)
    cluster.finish(workspace, process)

    expected = {name: table for name, table in local.tables().items() if name.startswith("tiny/")}
    assert_same(workspace.tables(), expected)

    assert {gpu for sample in samples for gpu in sample.values()} == GPUS
    assert max(len(sample) for sample in samples) == 2
    assert all(len(set(sample.values())) == len(sample) for sample in samples)
    assert len({stage for sample in samples for stage in sample}) == 7

    logs = workspace.folder / ".snakemake/slurm_logs"
    (prepare,) = (path.read_text() for path in logs.glob("rule_prepare_data/**/*.log"))
    assert "--data-path '/some where' --download-dir" in prepare
    for path in logs.glob("rule_augment/**/*.log"):
        assert "--save-every 0.5 --tensorboard --device cpu" in path.read_text()
    submitted = {path.relative_to(logs).parts[0].removeprefix("rule_") for path in logs.rglob("*.log")}
    assert submitted == {"prepare_data", "search", "select_arc", "score_arcs", "augment"}


def test_preempted_search_is_requeued_and_resumes(cluster: Cluster, local: Workspace, unsearched: Workspace) -> None:
    process, job = cluster.start_and_train(unsearched, "--retries", "0")
    urgent = ["--partition=urgent", "--gpus=2", "--output=/dev/null", "--wrap=sleep infinity"]
    urgent_job = cluster.slurm.run("sbatch", "--parsable", *urgent)
    wait_for(lambda: cluster.state(urgent_job) == "RUNNING")
    wait_for(lambda: cluster.state(job) == "PENDING")
    assert process.poll() is None
    cluster.slurm.run("scancel", urgent_job)
    cluster.finish(unsearched, process)
    assert cluster.facts(job)["Restarts"] == "1"
    assert GOES_ON.search(unsearched.search_log)
    assert_same(unsearched.tables(), local.tables())


def test_cancelled_job_is_reported_and_a_rerun_resumes(
    cluster: Cluster, local: Workspace, unsearched: Workspace
) -> None:
    process, job = cluster.start_and_train(unsearched, "--retries", "0")
    cluster.slurm.run("scancel", job)
    assert process.wait(TIME_LIMIT) == 1
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in unsearched.output.read_text()
    assert not (unsearched.folder / SEARCH).exists()
    cluster.finish(unsearched, cluster.start(unsearched, "--retries", "0"))
    assert GOES_ON.search(unsearched.search_log)
    assert_same(unsearched.tables(), local.tables())


def test_job_beyond_its_memory_gets_more(cluster: Cluster, local: Workspace, unsearched: Workspace) -> None:
    before = cluster.jobs()
    process = cluster.start(unsearched, "--set-resources", "search:mem_mb=300 if attempt == 1 else 4000")
    cluster.finish(unsearched, process)
    failed, succeeded = sorted(cluster.jobs() - before, key=int)
    assert [cluster.facts(job)["MinMemoryNode"] for job in (failed, succeeded)] == ["300M", "4000M"]
    assert [cluster.state(job) for job in (failed, succeeded)] == ["FAILED", "COMPLETED"]
    (log,) = unsearched.folder.glob(f".snakemake/slurm_logs/**/{failed}.log")
    assert str(log) in unsearched.output.read_text()
    assert "exceeded memory limit" in log.read_text()
    assert_same(unsearched.tables(), local.tables())


def test_node_goes_down_and_comes_back(cluster: Cluster, local: Workspace, unsearched: Workspace) -> None:
    process, job = cluster.start_and_train(unsearched, "--retries", "0")
    cluster.slurm.run("scontrol", "update", f"nodename={HOST}", "state=down", "reason=test")
    wait_for(lambda: cluster.state(job) == "PENDING")
    assert process.poll() is None
    cluster.slurm.run("scontrol", "update", f"nodename={HOST}", "state=resume")
    cluster.finish(unsearched, process)
    assert cluster.facts(job)["Restarts"] == "1"
    assert GOES_ON.search(unsearched.search_log)
    assert_same(unsearched.tables(), local.tables())


def test_generic_profile(cluster: Cluster, local: Workspace, workspace: Workspace) -> None:
    profile = ["--profile", str(ROOT / "workflow/profiles/cluster-generic"), "--seconds-between-status-checks", "1"]
    cluster.finish(workspace, cluster.start_with(workspace, *profile, "--config", *STRINGS, target=COMPARISON))
    assert_same(workspace.tables(), {name: t for name, t in local.tables().items() if name.startswith("tiny/")})
    assert "augment" in cluster.slurm.run("squeue", "--states=all", "--format=%j")


def test_generic_status_command(cluster: Cluster, tmp_path: Path) -> None:
    def submitted(command: str) -> str:
        return cluster.slurm.run("sbatch", "--parsable", f"--output={tmp_path}/%j", f"--wrap={command}")

    def status(job: str) -> str:
        return cluster.slurm.run(str(ROOT / "workflow/profiles/cluster-generic/status.sh"), job)

    good, bad, waiting = submitted("true"), submitted("false"), submitted("sleep infinity")
    wait_for(lambda: (status(good), status(bad)) == ("success", "failed"))
    wait_for(lambda: cluster.state(waiting) == "RUNNING")
    assert status(waiting) == "running"
    cluster.slurm.run("scancel", waiting)
    wait_for(lambda: status(waiting) == "failed")
    assert status("4000000") == "failed"
    away = cluster.slurm.environment | {"SLURM_CONF": "/dev/null", "PATH": os.environ["PATH"]}
    command = [str(ROOT / "workflow/profiles/cluster-generic/status.sh"), good]
    unanswered = subprocess.run(command, env=away, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert unanswered.stdout == "running\n"


@pytest.fixture
def untrained(tmp_path: Path) -> tuple[Workspace, Workspace]:
    """Three random networks of `tiny`, trained for longer without a cluster; and a copy from before the trainings."""
    trained, untrained = tmp_path / "trained", tmp_path / "untrained"
    trained.mkdir()
    workspace = Workspace(trained)
    content = yaml.safe_load(workspace.config.read_text())
    changes = {"arcs": None, "baseline": {"num_arcs": 3}, "augment": {"num_epochs": 60}}
    content["experiments"]["many"] = {"extends": "tiny", **changes}
    workspace.config.write_text(yaml.safe_dump(content))
    process = workspace.start(dict(os.environ), "--cores", "2", target=" ".join(TRAININGS))
    assert process.wait(TIME_LIMIT) == 0, workspace.output.read_text()
    shutil.copytree(trained, untrained)
    for folder in ("networks", "_state", "logs"):
        shutil.rmtree(untrained / "results/many" / folder)
    copy = Workspace(untrained)
    shutil.copy(workspace.config, copy.config)
    return workspace, copy


def test_trainings_in_one_job(cluster: Cluster, untrained: tuple[Workspace, Workspace]) -> None:
    """A job of three trainings is killed, then one of them fails, then all succeed: each is trained once, and their
    tables are those of trainings without a group."""
    trained, workspace = untrained
    results = workspace.folder / "results/many"
    grouped = ["--groups", "augment=trainings", "--group-components", "trainings=3", "--retries", "0"]
    history = dict.fromkeys(NAMES, "")

    def run() -> subprocess.Popen[bytes]:
        return cluster.start(workspace, *grouped, target=" ".join(TRAININGS))

    def note_logs() -> None:
        for name in NAMES:
            log = results / f"logs/augment-{name}-seed1.log"
            if log.exists():
                history[name] += log.read_text()
                log.unlink()

    def trained_so_far() -> list[str]:
        return [path.parts[-3] for path in results.glob("networks/*/seed1/model.pt")]

    def interruptible() -> list[str]:
        states = results.glob("_state/augment/*/seed1/previous.state")
        return [name for path in states if (name := path.parts[-3]) not in trained_so_far()]

    # Killed while the second one trains.
    process = run()
    wait_for(lambda: process.poll() is not None or (trained_so_far() and interruptible()))
    assert process.poll() is None, workspace.output.read_text()
    (job,) = cluster.slurm.run("squeue", "--noheader", "--states=RUNNING", "--format=%A").split()
    facts = cluster.facts(job)
    assert (facts["TimeLimit"], facts["MinMemoryNode"], facts["NumCPUs"]) == ("6-00:00:00", "16000M", "1")
    assert "gpu:1" in facts["TresPerJob"]
    (first,), (second,) = trained_so_far(), interruptible()
    (third,) = set(NAMES) - {first, second}
    cluster.slurm.run("scancel", job)
    assert process.wait(TIME_LIMIT) == 1
    assert trained_so_far() == []  # Snakemake takes the group for failed as a whole
    note_logs()

    # The third one fails.
    lock = results / f"_state/augment/{third}/seed1/lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run().wait(TIME_LIMIT) == 1
    assert trained_so_far() == []
    note_logs()
    assert "in use by another process" in history[third]

    cluster.finish(workspace, run())
    note_logs()
    assert_same(workspace.tables(), trained.tables())
    assert GOES_ON.search(history[second])
    assert "of a run that had finished" in history[first]
    assert all(log.count("starting from the beginning") == 1 for log in history.values())
