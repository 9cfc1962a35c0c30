"""Nothing that the project loads can execute code, and no name can leave its place."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import trials
from pydantic import TypeAdapter, ValidationError
from trials import ForkServer

from enas_core import augment, predict, select_arc
from enas_core.fields import Name
from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.saved import load_network

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("enas_core/**/*.py"), *ROOT.glob("workflow/scripts/*.py"), *ROOT.glob("benchmarks/*.py")])
UNSAFE_MODULES = {"dill", "cloudpickle", "joblib", "marshal", "shelve"}


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


# --- the sources --------------------------------------------------------------------------------


def unsafe(source: str, checks_before_it_unpickles: bool = False) -> list[str]:
    """What could execute code that comes from a file, by line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            forbidden = UNSAFE_MODULES if checks_before_it_unpickles else UNSAFE_MODULES | {"pickle"}
            found += [f"{node.lineno}: import {name}" for name in names if name.split(".")[0] in forbidden]
        if not isinstance(node, ast.Call):
            continue
        called, options = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        bad = {
            "torch.load": options.get("weights_only") != "True",
            "np.load": options.get("allow_pickle") != "False",
            "pd.read_pickle": True,
            "pickle.load": True,
            "pickle.loads": True,
            "pickle.Unpickler": True,
            "eval": True,
            "exec": True,
            "os.system": True,
        }
        yaml_is_safe = called in ("yaml.safe_load", "yaml.safe_dump") or not called.startswith("yaml.")
        if bad.get(called, False) or not yaml_is_safe or options.get("shell") == "True":
            found.append(f"{node.lineno}: {called}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_loads_what_could_execute(path: Path) -> None:
    assert unsafe(path.read_text(), checks_before_it_unpickles=path.name == "cifar.py") == []


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "import pickle",
        "from pickle import loads",
        "from joblib.externals import loky",
        "yaml.load(text)",
        "yaml.load(text, yaml.UnsafeLoader)",
        "pickle.loads(data)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_the_check_sees(source: str) -> None:
    assert len(unsafe(source)) == 1


def test_the_one_unpickler_is_restricted() -> None:
    tree = ast.parse((ROOT / "enas_core/data/cifar.py").read_text())
    uses = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert {use for use in uses if use.startswith("pickle.")} == {"pickle.Unpickler", "pickle.UnpicklingError"}


# --- files --------------------------------------------------------------------------------------


@pytest.fixture(params=["torch.save", "plain pickle"])
def malicious(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """Content that makes the folder `trace` when it is unpickled without care."""
    content = {"format": 1, "arc": Malicious(tmp_path / "trace")}
    if request.param == "plain pickle":
        return pickle.dumps(content, protocol=2)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def no_trace(tmp_path: Path) -> Iterator[None]:
    """Nothing was executed."""
    yield
    assert not (tmp_path / "trace").exists()


def test_network(tmp_path: Path, malicious: bytes) -> None:
    path = tmp_path / "final.pt"
    path.write_bytes(malicious)
    with pytest.raises(ValueError, match=r"final\.pt: not a network file"):
        load_network(path)
    assert predict.main([str(path), "image.png", "--device", "cpu"]) == 2


def test_supernet(inputs: Path, tmp_path: Path, malicious: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "supernet.pt"
    path.write_bytes(malicious)
    options = ["--config", inputs / "config/select_arc.json", "--data", inputs / "data", "--seed", 1, "--device", "cpu"]
    options += ["--supernet", path, "--out-dir", tmp_path / "out", "--arc-out", tmp_path / "out/arc.txt"]
    assert select_arc.main([str(option) for option in options]) == 2
    assert "supernet.pt: not a supernet file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_state(inputs: Path, server: ForkServer, tmp_path: Path, malicious: bytes) -> None:
    """Even with the right fingerprint and checksum."""
    options = trials.arguments("augment", inputs, tmp_path)
    assert server.run("augment", options, tmp_path / "output").code == 0
    path = tmp_path / "state/current.state"
    facts = json.loads(path.read_bytes().partition(b"\n")[0]) | {"sha256": hashlib.sha256(malicious).hexdigest()}
    path.write_bytes(json.dumps(facts).encode() + b"\n" + malicious)
    for output in (tmp_path / "out").iterdir():
        output.unlink()
    ended = server.run("augment", options, tmp_path / "output")
    assert ended.code == 0
    assert "current.state: not used: not readable: " in ended.output
    assert "previous.state: used, of a run that was interrupted" in ended.output


def test_malicious_content_works_where_it_is_loaded_without_care(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Malicious(tmp_path / "other")))
    assert (tmp_path / "other").exists()


# --- names --------------------------------------------------------------------------------------

BAD_NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc",
    "a b",
    "a;b",
    "$(id)",
    "`id`",
    "a\n",
    "a\nb",
    "a'b",
    'a"b',
    "a|b",
    "a&b",
    "a*",
    "a{x}",
    "-rf",
    "_state",
    "1st",
    "a.b",
    "é",
    "a\0",
    "a" * 65,
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_bad_names(name: str, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)
    experiment = trials.EXPERIMENT
    arcs = {name: trials.ARC}
    for raw in ({name: experiment}, {"tiny": experiment | {"arcs": arcs}}, {"tiny": {"arcs": {"x": {"from": name}}}}):
        with pytest.raises(ValueError, match=r"^config\.yaml: experiments"):
            parse_workflow({"experiments": raw})
    options = [*trials.arguments("augment", inputs, tmp_path), f"--network={name}"]
    with pytest.raises(SystemExit) as exit:
        augment.main(options)
    assert exit.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("name", ["searched-s1", "random-00", "random-7", "best-random"])
def test_names_of_the_workflows_own_networks(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        parse_workflow({"experiments": {"tiny": trials.EXPERIMENT | {"arcs": {name: trials.ARC}}}})
