"""Tables: what they hold, what is refused, what made them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rows import row_of

import enas_core
from enas_core.files.columns import LARGEST, Column, Table, count
from enas_core.files.schemas import BY_MACHINE, SCHEMAS, TABLES
from enas_core.files.tables import (
    MOST_ROWS,
    best_candidate,
    provenance,
    read_provenance,
    read_table,
    table_identity,
    write_table,
)

MADE_BY = {"device": "cpu", "run": "x"}


def values_of(column: Column) -> st.SearchStrategy:
    """What a column can hold."""
    within = {}
    if column.low is not None:
        within = {"min_value": column.low, "max_value": column.high}
    values = {
        pa.int64(): st.integers(column.low, 2**63 - 1),
        pa.float64(): st.floats(**within, allow_nan=False),
        pa.string(): st.sampled_from(column.words) if column.words else st.text(max_size=20),
        pa.bool_(): st.booleans(),
    }[column.type]
    return st.none() | values if column.null else values


@st.composite
def rows_of(draw, kind):
    """Rows of a table of this kind, with nulls where there may be some."""
    table = TABLES[kind]
    columns = {name: values_of(column) for name, column in table.columns.items()}
    rows = draw(st.lists(st.fixed_dictionaries(columns), min_size=0 if table.may_be_empty else 1, max_size=5))
    return [row | {name: rows[0][name] for name in table.same} for row in rows]


CANDIDATES = [
    {"source": "policy", "policy": "uniform", "space": "micro", "arc": "0 1"}
    | {"valid_accuracy": 0.5, "params": 7, "macs": 9, "selected": True, "on_front": None},
    {"source": "random", "policy": None, "space": "micro", "arc": "1 1"}
    | {"valid_accuracy": 0.75, "params": 7, "macs": 9, "selected": False, "on_front": None},
]


@pytest.mark.parametrize("kind", SCHEMAS)
@given(data=st.data())
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_back_as_they_were(kind, data, tmp_path):
    rows, path = data.draw(rows_of(kind)), tmp_path / "table.parquet"
    write_table(path, kind, rows, MADE_BY)
    assert read_table(path, kind) == rows
    assert pq.read_schema(path).remove_metadata() == SCHEMAS[kind]
    assert read_provenance(path) == MADE_BY


@pytest.mark.parametrize("kind", TABLES)
def test_what_clock_and_machine_decide_is_said_of_each_column(kind):
    """All times, speeds and devices are, and a name means the same in all tables."""
    columns = TABLES[kind].columns
    decided = {name for name, column in columns.items() if column.by_machine}
    measured = {name for name, column in columns.items() if column.unit in ("s", "h", "images/s")}
    assert measured <= decided
    assert decided == BY_MACHINE & columns.keys()
    assert ("device" in decided) == ("device" in columns)
    assert not decided & {"arc", "test_accuracy", "valid_accuracy", "epoch", "network"}


def test_a_row_without_a_value_has_null_there(tmp_path):
    row = dict(CANDIDATES[1])
    del row["policy"]
    write_table(tmp_path / "t.parquet", "candidates", [row], MADE_BY)
    assert read_table(tmp_path / "t.parquet", "candidates") == [CANDIDATES[1]]


def wrong_values(column: Column) -> list:
    """What a column cannot hold, one of each class of mistake."""
    wrong = [] if column.null else [None]
    if column.type == pa.float64():
        wrong += [float("nan")]
        wrong += [] if column.high > LARGEST else [float("inf")]
        wrong += [column.low - 1.0] if column.low > -LARGEST else [float("-inf")]
        wrong += [column.high + 1.0] if column.high < LARGEST else []
    if column.type == pa.int64():
        wrong += [column.low - 1]
    if column.words:
        wrong += [f"not {column.words[0]}"]
    return wrong


WRONG = [
    (kind, name, wrong)
    for kind, table in TABLES.items()
    for name, column in table.columns.items()
    for wrong in wrong_values(column)
]


@pytest.mark.parametrize(("kind", "name", "wrong"), WRONG)
def test_what_a_column_cannot_hold_is_one_line(kind, name, wrong, tmp_path):
    path, good = tmp_path / "t.parquet", row_of(kind)
    write_table(path, kind, [good, good | {name: wrong}], MADE_BY)
    assert f"{name} of row 2 is {wrong!r}; allowed: {TABLES[kind].columns[name].allowed}" in refusal(path, kind)


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_of_one_thing(kind, tmp_path):
    path, table, row = tmp_path / "t.parquet", TABLES[kind], row_of(kind)
    for name in table.same:
        other = 2 if table.columns[name].type == pa.int64() else "y"
        write_table(path, kind, [row, row | {name: other}], MADE_BY)
        assert f"{name} is {row[name]!r} in some rows and {other!r} in others" in refusal(path, kind)


@pytest.mark.parametrize("kind", TABLES)
def test_most_tables_have_rows(kind, tmp_path):
    write_table(tmp_path / "t.parquet", kind, [], MADE_BY)
    if TABLES[kind].may_be_empty:
        assert read_table(tmp_path / "t.parquet", kind) == []
    else:
        assert "holds no rows" in refusal(tmp_path / "t.parquet", kind)


def test_rounding_is_no_mistake(tmp_path):
    rows = [CANDIDATES[0] | {"valid_accuracy": value} for value in (-1e-9, 1 + 1e-9)]
    write_table(tmp_path / "t.parquet", "candidates", rows, MADE_BY)
    assert read_table(tmp_path / "t.parquet", "candidates") == rows


def test_allowed_values_in_words():
    found = {column.allowed for table in TABLES.values() for column in table.columns.values()}
    assert found >= {
        *("text", "true or false", "whole numbers of 0 or more"),
        *("finite numbers", "numbers of 0 or more", "numbers 0..1", "numbers -1..1"),
    }


@pytest.mark.parametrize("kind", TABLES)
def test_files_say_what_their_columns_are(kind, tmp_path):
    write_table(tmp_path / "t.parquet", kind, [], MADE_BY)
    for field in pq.read_schema(tmp_path / "t.parquet"):
        column = TABLES[kind].columns[field.name]
        assert field.metadata[b"description"].decode() == column.description
        assert field.metadata[b"unit"].decode() == column.unit
        assert column.description.endswith(".")
        assert "null" in column.description or not column.null or kind in ("ablation", "comparison")


def test_a_value_of_another_type_writes_nothing(tmp_path):
    with pytest.raises(pa.ArrowException):
        write_table(tmp_path / "t.parquet", "candidates", [{"params": "many"}], MADE_BY)
    assert not list(tmp_path.iterdir())


def test_further_columns_are_left_out(tmp_path):
    table = pa.Table.from_pylist(CANDIDATES).append_column("more", pa.array([1, 2]))
    pq.write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "candidates") == CANDIDATES


def test_tables_of_earlier_versions_lack_later_columns(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    write_table(path, "candidates", CANDIDATES, MADE_BY)
    columns = TABLES["candidates"].columns
    monkeypatch.setitem(TABLES, "candidates", Table("", columns | {"depth": count("", "")}))
    assert "columns depth are missing" in refusal(path, "candidates")
    monkeypatch.setitem(TABLES, "candidates", Table("", columns | {"depth": count("", "", later=True)}))
    assert read_table(path, "candidates") == [row | {"depth": None} for row in CANDIDATES]


def refusal(path, kind):
    with pytest.raises(ValueError, match=f"^{path}: ") as caught:
        read_table(path, kind)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_wrong_tables_are_one_line(tmp_path):
    path = tmp_path / "t.parquet"
    assert "not a readable Parquet file" in refusal(path, "candidates")
    path.write_bytes(b"PAR1 and no more")
    assert "not a readable Parquet file" in refusal(path, "candidates")
    write_table(path, "candidates", CANDIDATES, MADE_BY)
    assert "columns network, sampler, seed, index are missing" in refusal(path, "random_arcs")


def test_provenance_says_what_made_a_file():
    made_by = provenance("cpu (2 threads)", "abc")
    assert (made_by["device"], made_by["config_fingerprint"]) == ("cpu (2 threads)", "abc")
    assert "settings" not in made_by
    assert provenance("cpu", "abc", {"experiment": "x"})["settings"] == {"experiment": "x"}
    assert made_by["enas_version"]
    assert made_by["torch_version"][0].isdigit()
    assert made_by["git_commit"]
    assert re.fullmatch("[0-9a-f]{64}", made_by["source_digest"])


def made_by_copy(folder):
    """What a copy of the package in `folder`, not installed, says of itself."""
    program = "import json; from enas_core.files.tables import provenance; print(json.dumps(provenance('cpu', 'abc')))"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_copy_without_git_is_told_by_version_and_code(tmp_path):
    """Also where it lies within the repository of something else, whose commit is not its own."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message=x"]):
        subprocess.run([*git, *words], check=True)
    package = Path(enas_core.__file__).parent
    shutil.copytree(package, tmp_path / "copy/enas_core", ignore=shutil.ignore_patterns("__pycache__"))
    copy, here = made_by_copy(tmp_path / "copy"), provenance("cpu", "abc")
    assert copy == here | {"git_commit": "unknown"}
    (tmp_path / "copy/enas_core/new.py").touch()
    assert made_by_copy(tmp_path / "copy")["source_digest"] != here["source_digest"]


def test_identity_of_a_table(tmp_path):
    path = tmp_path / "t.parquet"
    assert table_identity(path) is None
    path.write_bytes(b"")
    assert table_identity(path) is None
    write_table(path, "candidates", [], {})
    assert table_identity(path) is None
    write_table(path, "candidates", [], MADE_BY)
    assert table_identity(path) == "x"


def test_best_candidate_is_the_first_of_the_best_selected(tmp_path):
    paths = [tmp_path / f"{i}.parquet" for i in range(3)]
    for path, accuracy in zip(paths, (0.25, 0.5, 0.5), strict=True):
        write_table(path, "candidates", [CANDIDATES[0] | {"valid_accuracy": accuracy}, CANDIDATES[1]], MADE_BY)
    assert best_candidate(paths) == (1, "0 1")


@pytest.mark.parametrize("rows", [CANDIDATES[1:], [CANDIDATES[0]] * 2])
def test_one_candidate_is_selected(rows, tmp_path):
    write_table(tmp_path / "t.parquet", "candidates", rows, MADE_BY)
    with pytest.raises(ValueError, match=r"t\.parquet: needs one selected candidate"):
        best_candidate([tmp_path / "t.parquet"])


def test_a_small_file_that_stands_for_much_is_refused_before_it_is_decoded(tmp_path):
    path, row = tmp_path / "t.parquet", CANDIDATES[0]
    many = pa.Table.from_pylist([row]).take(pa.array([0] * (MOST_ROWS + 1)))
    pq.write_table(many, path, compression="zstd")
    assert path.stat().st_size < 100_000
    assert f"a column has {MOST_ROWS + 1} values" in refusal(path, "candidates")
    long = pa.Table.from_pylist([row | {"arc": "0 " * 50_000}]).take(pa.array([0] * 5_000))
    pq.write_table(long, path, compression="zstd")
    assert path.stat().st_size < 100_000
    assert "its texts have" in refusal(path, "candidates")


@pytest.mark.parametrize(
    "recorded", ["[1]", "null", "[" * 100_000, "{", '{"params": "x"}', '{"search_seed": -1}', '{"run": 1}']
)
def test_provenance_that_is_none_is_one_line(recorded, tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, "candidates", CANDIDATES, MADE_BY)
    table = pq.read_table(path).replace_schema_metadata({"provenance": recorded})
    pq.write_table(table, path)
    with pytest.raises(ValueError, match=f"^{path}: provenance: "):
        read_provenance(path)
    assert table_identity(path) is None
