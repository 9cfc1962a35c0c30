"""The DAG: what a run writes, what a change re-runs, and that results depend on nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from workspace import LOCAL_PROFILE, ROOT, Workspace, comparable

from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import read_provenance, read_table
from enas_core.spaces.measure import network_size
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.saved import load_network, load_untrained

TABLES = {
    "random_arcs.parquet": "random_arcs",
    "search/s1/epochs.parquet": "search_epochs",
    "search/s1/candidates.parquet": "candidates",
    "search/s1/signal.parquet": "signal",
    "networks/searched-s1/seed1/epochs.parquet": "augment_epochs",
}


def test_every_stage_writes_what_the_contract_says(finished: Workspace) -> None:
    results = finished.results / "tiny"
    for name, kind in TABLES.items():
        schema = pq.read_schema(results / name)
        assert schema.names == SCHEMAS[kind].names
        assert schema.types == SCHEMAS[kind].types
        made_by = read_provenance(results / name)
        assert set(made_by) >= {"enas_version", "git_commit", "torch_version", "device", "config_fingerprint"}
    for name in ("data/manifest.json", "search/s1/supernet.pt", "networks/searched-s1/seed1/model.pt", "final.pt"):
        assert (results / name).stat().st_size > 0
    for stage in ("prepare_data", "random_arcs", "search", "select_arc", "augment"):
        assert (results / f"config/{stage}.json").exists()
    epochs = read_table(results / "search/s1/epochs.parquet", "search_epochs")
    assert [row["epoch"] for row in epochs] == [0, 1]
    assert all(value is not None and value == value for row in epochs for value in row.values())


def test_only_the_policys_arc_is_selected(finished: Workspace) -> None:
    results = finished.results / "tiny"
    rows = read_table(results / "search/s1/candidates.parquet", "candidates")
    assert [row["source"] for row in rows] == ["policy"] * 4 + ["random"] * 2 + ["named"]
    assert [row["policy"] for row in rows] == ["controller"] * 4 + [None] * 3
    (selected,) = [row for row in rows if row["selected"]]
    own = [row for row in rows if row["source"] == "policy"]
    assert selected in own
    assert selected["valid_accuracy"] == max(row["valid_accuracy"] for row in own)
    assert str(MicroArc.parse((results / "arcs/searched-s1.txt").read_text())) == selected["arc"]


def test_final_network_is_the_selected_arcs(finished: Workspace) -> None:
    results = finished.results / "tiny"
    content = torch.load(results / "final.pt", weights_only=True)
    assert content["arc"] == (results / "arcs/searched-s1.txt").read_text().strip()
    network = load_network(results / "final.pt")
    assert not network.training
    assert network.classes == [str(digit) for digit in range(10)]
    last = read_table(results / "networks/searched-s1/seed1/epochs.parquet", "augment_epochs")[-1]
    assert network.test_accuracy == last["test_accuracy"]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_second_run_does_nothing(copy: Workspace) -> None:
    assert copy.make("results/tiny/final.pt") == []


def test_augment_setting_reruns_augment_alone(copy: Workspace) -> None:
    copy.edit(augment__l2=0.001)
    assert set(copy.make("results/tiny/final.pt")) == {"resolve_config", "augment", "final"}


def test_search_setting_leaves_the_data_alone(copy: Workspace) -> None:
    copy.edit(search__l2=0.001)
    ran = set(copy.make("-n", "results/tiny/final.pt"))
    assert {"search", "select_arc", "augment"} <= ran
    assert not ran & {"prepare_data", "random_arcs", "random_arc"}


def test_where_it_is_computed_reruns_nothing(copy: Workspace) -> None:
    options = ("--config", "data_path=/elsewhere", "device=cpu", "save_every=1")
    assert copy.make("results/tiny/final.pt", *options) == []


def test_more_random_arcs_train_only_the_new_ones(changed: Workspace) -> None:
    names = [f"results/tiny/networks/random-0{i}/seed1/model.pt" for i in range(3)]
    assert changed.make("-n", *names[:2]) == []
    changed.edit(baseline__num_arcs=3)
    ran = changed.make(*names, "results/tiny/random_arcs.parquet")
    assert sorted(ran) == ["augment", "random_arc", "random_arcs"]


def test_more_random_arcs_repeat_no_training(copy: Workspace) -> None:
    copy.edit(baseline__num_arcs=3)
    targets = "results/tiny/final.pt", "results/tiny/search/s1/candidates.parquet"
    assert sorted(copy.make(*targets)) == ["random_arcs", "score_arcs"]
    assert len(read_table(copy.results / "tiny/search/s1/candidates.parquet", "candidates")) == 4 + 3 + 1


def test_cores_do_not_matter(finished: Workspace, fresh: Workspace) -> None:
    fresh.make("results/tiny/final.pt", "results/tiny/search/s1/candidates.parquet", cores=1)
    for name in TABLES:
        one, other = (comparable(w.results / "tiny" / name) for w in (finished, fresh))
        assert one.equals(other), name
    one, other = (torch.load(w.results / "tiny/final.pt", weights_only=True)["state_dict"] for w in (finished, fresh))
    assert all(torch.equal(one[name], other[name]) for name in one | other)


@pytest.fixture(scope="module")
def transferred(compared: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """`tiny` and `tiny_transfer`; not to be changed."""
    workspace = compared.copied_to(tmp_path_factory.mktemp("transferred"))
    workspace.make("results/tiny_transfer/final.pt", "results/tiny_transfer/networks/transfer/seed1/model.pt")
    return workspace


def test_named_and_transferred_arcs(transferred: Workspace) -> None:
    found = (transferred.results / "tiny/arcs/searched-s1.txt").read_text()
    assert (transferred.results / "tiny_transfer/arcs/transfer.txt").read_text() == found
    network = load_network(transferred.results / "tiny_transfer/networks/transfer/seed1/model.pt")
    assert str(network.arc) == found.strip()
    identity = load_network(transferred.results / "tiny/networks/all_identity/seed1/model.pt")
    assert str(identity.arc) == " ".join(["0 4 1 4"] * 6)


def test_several_search_seeds(transferred: Workspace) -> None:
    results = transferred.results / "tiny_transfer"
    best = {
        seed: max(
            row["valid_accuracy"]
            for row in read_table(results / f"search/s{seed}/own/candidates.parquet", "candidates")
            if row["selected"]
        )
        for seed in (3, 4)
    }
    winner = max(best, key=lambda seed: (best[seed], -seed))
    model = results / f"networks/searched-s{winner}/seed1/model.pt"
    assert (results / "final.pt").read_bytes() == model.read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"search__batch": 8}, ["experiments.tiny.search.batch", "unknown key", "batch_size"]),
        ({"search__batch_size": "many"}, ["experiments.tiny.search.batch_size", "'many'", "integer"]),
        ({"search__batch_size": 141}, ["experiments.tiny", "search.batch_size", "141", "2..140"]),
        ({"augment__aux_head": True, "augment__batch_size": 199}, ["augment.batch_size", "199", "aux_head: false"]),
        ({"dataset__name": "imagenet"}, ["dataset.source", "'digits'", "'imagenet'"]),
        ({"num_nodes": 4}, ["arcs.all_identity", "32 integers", "24"]),
        ({"arcs__x": {"from": "nowhere"}}, ["arcs.x.from", "'nowhere'", "tiny_transfer"]),
        ({"arcs__x": {"from": "tiny_transfer"}}, ["from", "tiny_transfer"]),
    ],
)
def test_mistakes_in_the_config_stop_before_any_job(
    fresh: Workspace, changes: dict[str, object], words: list[str]
) -> None:
    fresh.edit(**changes)
    printed = fresh.fail("results/tiny/final.pt")
    line, *others = [line for line in printed.splitlines() if "config.yaml: " in line]
    assert all(word in line for word in words), line
    # An experiment that extends it has the same mistake, which is told again only where other values are allowed.
    assert all("from" in other for other in others), others
    assert not fresh.results.exists()


def test_a_key_that_stands_twice_in_the_config(fresh: Workspace) -> None:
    fresh.config.write_text(fresh.config.read_text() + "\nexperiments: {}\n")
    printed = fresh.fail("results/tiny/final.pt")
    assert f"{fresh.config}: not valid YAML: 'experiments' is there twice" in printed
    assert not fresh.results.exists()


def test_only_named_arcs_are_looked_up_in_the_config(fresh: Workspace) -> None:
    done = fresh.run("-n", "results/tiny/final.pt", "results/tiny/networks/random-00/seed1/model.pt")
    assert done.returncode == 0
    assert "InputFunctionException" not in done.stderr


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere/final.pt", "config.yaml: experiments: 'nowhere' is not there; allowed: tiny, tiny_transfer"),
        (
            "tiny/networks/nothing/seed1/model.pt",
            "config.yaml: experiments.tiny.arcs: 'nothing' is not there; allowed: all_identity",
        ),
        ("tiny/config/training.json", "No rule to produce results/tiny/config/training.json"),
    ],
)
def test_targets_that_are_not_there(fresh: Workspace, target: str, message: str) -> None:
    printed = fresh.fail(f"results/{target}")
    assert message in printed
    assert not fresh.results.exists()


@pytest.mark.parametrize(
    "snakefile",
    [
        "rule a:\n    output:\n        'x',\n    shell:\n        'touch {output}'\n",  # has no log
        "rule a:\n    output:\n        'x',\n    conda:\n        'x.yaml'\n    shell:\n        'touch {output}'\n",
        "rule a:\n    output: (\n",  # cannot be read
    ],
    ids=["accepted and another finding", "another finding alone", "no finding"],
)
def test_lint_accepts_one_finding_alone(tmp_path: Path, snakefile: str) -> None:
    (tmp_path / "Snakefile").write_text(snakefile)
    command = [sys.executable, str(ROOT / "tests/workflow/lint.py"), "--snakefile", str(tmp_path / "Snakefile")]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 1


def test_each_training_gets_a_gpu_of_its_own(copy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"test-{copy.folder.name}-{k}" for k in range(3)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(names))
    targets = [f"results/tiny/networks/random-0{k}/seed1/model.pt" for k in range(2)]
    assert copy.make(*targets, "--resources", "gpu=2").count("augment") == 2
    logs = [(copy.results / f"tiny/logs/augment-random-0{k}-seed1.log").read_text() for k in range(2)]
    used = [line.split("on GPU ")[1] for log in logs for line in log.splitlines() if "on GPU " in line]
    assert len(used) == 2
    assert set(used) <= set(names)


def test_one_training_on_several_gpus_repeats_nothing_else(copy: Workspace) -> None:
    target = "results/tiny/networks/random-00/seed1/epochs.parquet"
    rules = copy.make(target, "--resources", "gpu=2", "--set-resources", "augment:gpu=2")
    assert sorted(rules) == ["augment", "random_arc"]
    assert read_provenance(copy.folder / target)["device"] == "2 x cpu (1 threads)"
    assert copy.make(target) == []


@pytest.mark.parametrize(
    ("visible", "asked_for", "order"),
    [("", {"0"}, ["Job", "Job", "Finished", "Finished"]), ("test-gpu", {"1"}, ["Job", "Finished", "Job", "Finished"])],
    ids=["no GPU: side by side", "one GPU: one after the other"],
)
def test_the_local_profile_limits_trainings_where_there_are_gpus(
    copy: Workspace, monkeypatch: pytest.MonkeyPatch, visible: str, asked_for: set[str], order: list[str]
) -> None:
    arcs = [f"results/tiny/arcs/random-0{k}.txt" for k in range(2)]
    targets = [f"results/tiny/networks/random-0{k}/seed1/model.pt" for k in range(2)]
    copy.make(*arcs)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    done = copy.run("--profile", str(LOCAL_PROFILE), "--printshellcmds", *targets)
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"--gpus (\d)", done.stderr)) == asked_for
    assert re.findall(r"^(Job|Finished) .*\baugment\b", done.stderr, re.MULTILINE) == order


def gpus_of(workspace: Workspace, *options: str) -> dict[str, str]:
    """What `--gpus` each rule that has the option would get, by the name of its command."""
    done = workspace.run("-n", "-p", "--forceall", "results/tiny/comparison.parquet", *options)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"enas_core\.(\w+) .* --gpus (\d)", done.stdout + done.stderr))


def test_gpus_that_rules_ask_for(copy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a machine that submits jobs, which has no GPU itself: a dry run says what will be submitted."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    rules = ("search", "select_arc", "augment")
    assert gpus_of(copy) == dict.fromkeys(rules, "1")
    assert gpus_of(copy, "--config", "device=cpu") == dict.fromkeys(rules, "0")
    changed = gpus_of(copy, "--set-resources", "augment:gpu=4", "search:gpu=0")
    assert changed == {"search": "0", "select_arc": "1", "augment": "4"}


def test_a_network_that_the_experiment_has_not(fresh: Workspace) -> None:
    printed = fresh.fail("results/tiny/networks/random-02/seed1/model.pt")
    assert "config.yaml: experiments.tiny: 'random-02' is none of its networks" in printed
    assert not fresh.results.exists()


def test_what_a_training_records_of_its_network(compared: Workspace) -> None:
    networks = compared.results / "tiny/networks"
    for network, role, search_seed in (("searched-s1", "searched", 1), ("all_identity", "named", None)):
        made_by = read_provenance(networks / network / "seed1/epochs.parquet")
        assert (made_by["role"], made_by["search_seed"]) == (role, search_seed)
        content = torch.load(networks / network / "seed1/model.pt", weights_only=True)
        assert content["provenance"] == made_by
        size = network_size(load_untrained(networks / network / "seed1/model.pt"))
        assert (made_by["params"], made_by["macs"]) == (size.params, size.macs)
