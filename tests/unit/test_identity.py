"""Tables of another experiment among those of one are refused, in one line that names the file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rows import row_of

from enas_core import compare, final
from enas_core.analysis.identity import Common
from enas_core.console import UserError
from enas_core.files.tables import read_provenance, read_table, write_table
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.saved import save_network
from enas_core.spaces.space import NetworkShape

FOUND, RANDOM, OTHER, LARGER = (str(uniform_arc(i, nodes)) for i, nodes in ((1, 2), (2, 2), (3, 2), (4, 3)))

Row = dict[str, Any]


def made_by(experiment: str, **facts: Any) -> Row:
    """What a stage records."""
    settings = {"experiment": experiment, "dataset": "digits"}
    return {"device": "cpu", "config_fingerprint": experiment, "settings": settings, "params": 5, "macs": 7} | facts


def write_search(folder: Path, experiment: str = "x", seed: int = 1) -> None:
    """A finished search, which has found `FOUND`."""
    about = {"experiment": experiment, "dataset": "digits", "seed": seed}
    write_table(folder / "epochs.parquet", "search_epochs", [row_of("search_epochs", **about)], made_by(experiment))
    rows = [
        row_of("candidates", source="policy", space="micro", arc=FOUND, selected=True),
        row_of("candidates", source="random", space="micro", arc=RANDOM),
    ]
    write_table(folder / "candidates.parquet", "candidates", rows, made_by(experiment))
    write_table(folder / "signal.parquet", "signal", [row_of("signal", **about)], made_by(experiment))
    tried = row_of("strategies", **about, space="micro", arc=FOUND)
    write_table(folder / "strategies.parquet", "strategies", [tried], made_by(experiment))


def write_training(folder: Path, network: str, role: str, arc: str, experiment: str = "x") -> None:
    """A finished training."""
    about = {"experiment": experiment, "dataset": "digits", "network": network, "space": "micro", "arc": arc}
    facts = {"role": role, "search_seed": 1 if role == "searched" else None}
    rows = [row_of("augment_epochs", **about)]
    write_table(folder / "epochs.parquet", "augment_epochs", rows, made_by(experiment, **facts))
    shape = NetworkShape(num_layers=1, num_filters=4, image_size=8, in_channels=1, num_classes=2, aux_head=False)
    facts = {"classes": ["a", "b"], "mean": [0.5], "std": [0.5], "test_accuracy": 0.5}
    trained = MicroNetwork(uniform_arc(1, 2), shape)
    save_network(folder / "model.pt", trained, facts | {"experiment": experiment, "dataset": "digits"})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """An experiment's folder, before anything is compared."""
    write_search(tmp_path / "search/s1")
    write_training(tmp_path / "networks/searched-s1/seed1", "searched-s1", "searched", FOUND)
    for i, arc in enumerate((RANDOM, OTHER)):
        write_training(tmp_path / f"networks/random-0{i}/seed1", f"random-0{i}", "random", arc)
    return tmp_path


def change(
    path: Path, kind: str, changes: Mapping[str, Any] | None = None, facts: Mapping[str, Any] | None = None
) -> None:
    """Another table of that kind, with other values in all rows and another record of what made it."""
    rows = [row | (changes or {}) for row in read_table(path, kind)]
    write_table(path, kind, rows, read_provenance(path) | (facts or {}))


def compared(results: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Sequence[str]]:
    """Exit code of the stage, and the lines that it prints."""
    networks = sorted(results.glob("networks/*/seed1"), reverse=True)
    searches = sorted(results.glob("search/*"))
    words = ["--networks", *networks, "--searches", *searches, "--out-dir", results / "out"]
    code = compare.main([str(word) for word in words])
    return code, capsys.readouterr().err.splitlines()


def test_one_experiment_is_compared(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(results, capsys)[0] == 0


def test_random_networks_may_all_be_those_of_another_experiment(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, arc in enumerate((RANDOM, OTHER)):
        write_training(results / f"networks/random-0{i}/seed1", f"random-0{i}", "random", arc, "y")
    assert compared(results, capsys)[0] == 0


SEARCH, FOUND_ONE, RANDOM_ONE = "search/s1", "networks/searched-s1/seed1", "networks/random-00/seed1"
EPOCHS, CANDIDATES = "epochs.parquet", "candidates.parquet"
OF_ANOTHER = made_by("y")


@pytest.mark.parametrize(
    ("file", "kind", "changes", "facts", "said"),
    [
        (f"{FOUND_ONE}/{EPOCHS}", "augment_epochs", {"experiment": "y"}, {}, "experiment: 'y', but 'x' in"),
        (f"{FOUND_ONE}/{EPOCHS}", "augment_epochs", {"dataset": "cifar10"}, {}, "dataset: 'cifar10', but 'digits' in"),
        (f"{FOUND_ONE}/{EPOCHS}", "augment_epochs", {"arc": LARGER}, {}, "num_nodes: 3, but 2 in"),
        (f"{FOUND_ONE}/{EPOCHS}", "augment_epochs", {"arc": OTHER}, {}, f"is of arc '{OTHER}', its search has found"),
        (f"{FOUND_ONE}/{EPOCHS}", "augment_epochs", {"space": "maze"}, {}, "space: 'maze'; allowed: micro"),
        (f"{RANDOM_ONE}/{EPOCHS}", "augment_epochs", {"experiment": "y"}, {}, "random networks' experiment: "),
        (f"{RANDOM_ONE}/{EPOCHS}", "augment_epochs", {"dataset": "cifar10"}, {}, "dataset: 'cifar10', but"),
        (f"{RANDOM_ONE}/{EPOCHS}", "augment_epochs", {}, {"config_fingerprint": "z"}, "random networks' settings of"),
        (f"{RANDOM_ONE}/{EPOCHS}", "augment_epochs", {"network": "random-01"}, {}, "is of the training of random-01"),
        (f"{SEARCH}/{CANDIDATES}", "candidates", {"arc": LARGER}, {}, "num_nodes: 2, but 3 in"),
        (f"{SEARCH}/{CANDIDATES}", "candidates", {"arc": "0 1"}, {}, "an arc has 8 integers a node"),
        (f"{SEARCH}/{CANDIDATES}", "candidates", {}, OF_ANOTHER, "experiment: 'y', but 'x' in"),
        (f"{SEARCH}/signal.parquet", "signal", {"seed": 2}, {}, "seed: 2, but 1 in"),
        (f"{SEARCH}/signal.parquet", "signal", {"experiment": "y"}, {}, "experiment: 'y', but 'x' in"),
        (f"{SEARCH}/strategies.parquet", "strategies", {"dataset": "cifar10"}, {}, "dataset: 'cifar10', but"),
        (f"{SEARCH}/strategies.parquet", "strategies", {"arc": LARGER}, {}, "num_nodes: "),
    ],
)  # fmt: skip
def test_a_table_of_another_one_is_refused(
    file: str,
    kind: str,
    changes: Row,
    facts: Row,
    said: str,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(results / file, kind, changes, facts)
    code, lines = compared(results, capsys)
    assert code == 2
    assert len(lines) == 1
    assert str(results) in lines[0]
    assert said in lines[0]
    assert not (results / "out").exists()


def test_the_folder_of_a_search_that_is_there_twice(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(results / SEARCH, results / "search/s2")
    code, (line,) = compared(results, capsys)
    assert code == 2
    second, first = (results / f"search/{name}/{EPOCHS}" for name in ("s2", "s1"))
    assert line == f"error: {second}: is of the search with seed 1, as {first} is"


def test_a_folder_of_a_whole_other_search(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_search(results / "search/s2", "y", seed=2)
    code, (line,) = compared(results, capsys)
    assert code == 2
    assert line.startswith(f"error: {results / 'search/s2' / EPOCHS}: experiment: 'y', but 'x' in ")
    assert line.endswith(": they are not of one experiment")


def test_the_comparison_beside_a_table_of_metrics(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compared(results, capsys)
    own = results / "out/metrics.parquet"
    assert compare.main([str(results / "out")]) == 0
    capsys.readouterr()
    change(own, "metrics", {"experiment": "y"})
    assert compare.main([str(results / "out")]) == 2
    beside = results / "out/comparison.parquet"
    said = f"left out: {beside}: experiment: 'x', but 'y' in {own}: they are not of one experiment"
    assert said in " ".join(capsys.readouterr().err.split())


def chosen(results: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and last line of `final`."""
    tables = sorted(results.glob(f"search/*/{CANDIDATES}"))
    words = ["--candidates", *tables, "--models", *[results / FOUND_ONE] * len(tables), "--out", results / "final.pt"]
    return final.main([str(word) for word in words]), capsys.readouterr().err.splitlines()[-1]


def test_final_copies_a_network_of_the_experiment(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen(results, capsys)[0] == 0
    assert (results / "final.pt").exists()


@pytest.mark.parametrize(
    ("file", "write"),
    [
        (f"search/s2/{CANDIDATES}", lambda results: write_search(results / "search/s2", "y", 2)),
        (
            f"{FOUND_ONE}/{EPOCHS}",
            lambda results: write_training(results / FOUND_ONE, "searched-s1", "searched", FOUND, "y"),
        ),
        (
            f"{FOUND_ONE}/model.pt",
            lambda results: (
                write_training(results / "elsewhere", "searched-s1", "searched", FOUND, "y"),
                shutil.copy(results / "elsewhere/model.pt", results / FOUND_ONE),
            ),
        ),
    ],
)
def test_final_refuses_what_is_of_another_experiment(
    file: str, write: Any, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(results)
    code, line = chosen(results, capsys)
    assert code == 2
    assert line.startswith(f"error: {results / file}: experiment: 'y', but 'x' in ")
    assert not (results / "final.pt").exists()


def test_what_a_table_does_not_say_is_no_contradiction(tmp_path: Path) -> None:
    common = Common()
    for value in ("x", None, "x"):
        common.require(tmp_path / "a", {"experiment": value})
    with pytest.raises(UserError, match=r"b: experiment: 'y', but 'x' in .*/a: they are not of one experiment"):
        common.require(tmp_path / "b", {"experiment": "y"})
