"""Options, and what all fault tests share: inputs, undisturbed runs, the server that starts stages."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import trials
import workflows
from once import made_once

UNDER_TEST = ("stage", "workflow")
COUNTS = pytest.StashKey[Counter]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, help="interruptions in test_kills (default: $KILLS, or 30)")
    parser.addoption("--mutations", type=int, help="changed files in test_readers (default: $MUTATIONS, or 400)")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNTS] = Counter()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # A plain `pytest` knows this file, and its option, only after it has read its options.
    kills = metafunc.config.getoption("kills", None) or int(os.environ.get("KILLS", "30"))
    seeds = -(-kills // trials.KILLS_A_SEED)
    of_workflows = max(1, seeds // 5)  # each takes as long as many kills of single stages
    if "campaign_seed" in metafunc.fixturenames:
        metafunc.parametrize("campaign_seed", range(max(1, seeds - of_workflows)))
    if "workflow_seed" in metafunc.fixturenames:
        metafunc.parametrize("workflow_seed", range(of_workflows))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """With several processes (pytest-xdist), each has counted its own."""
    node.config.stash[COUNTS].update(node.workeroutput.get("faults", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = dict(session.config.stash[COUNTS])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if counts := config.stash.get(COUNTS, None):
        terminalreporter.section("faults")
        for name, count in sorted(counts.items()):
            terminalreporter.line(f"{count:5} {name}")
        stages, workflows = (sum(counts[name] for name in counts if name.startswith(f"{of}: SIG")) for of in UNDER_TEST)
        compared = sum(counts[name] for name in counts if name.endswith("compared with the undisturbed one"))
        terminalreporter.line(
            f"{stages + workflows} kills, {stages} of stages and {workflows} of whole workflows;"
            f" {compared} resumed runs compared with undisturbed ones"
        )


@pytest.fixture
def mutations(request: pytest.FixtureRequest) -> int:
    """Changed files that all readers together are given."""
    return request.config.getoption("mutations", None) or int(os.environ.get("MUTATIONS", "400"))


@pytest.fixture
def counts(request: pytest.FixtureRequest) -> Counter:
    """What was done, for the summary."""
    return request.config.stash.setdefault(COUNTS, Counter())


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings, arc and images."""
    folder = tmp_path_factory.mktemp("inputs")
    trials.write_inputs(folder)
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[trials.ForkServer]:
    """Starts stages quickly."""
    server = trials.ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def references(
    inputs: Path, server: trials.ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, trials.Reference]:
    """One undisturbed run of each stage."""
    found = {}
    for stage in trials.WEIGHTS:
        folder = tmp_path_factory.mktemp(stage)
        start = perf_counter()
        ended = server.run(stage, trials.arguments(stage, inputs, folder), folder / "output")
        assert ended.code == 0, ended.output
        found[stage] = trials.Reference(folder, perf_counter() - start)
    return found


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> workflows.Workspace:
    """The whole workflow, undisturbed; not to be changed."""

    def make(folder: Path) -> None:
        workflows.Workspace(folder).again(cores=2)

    return workflows.Workspace(made_once(tmp_path_factory, "whole", make))
