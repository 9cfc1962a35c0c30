"""Results as pandas tables: types, missing values, arcs, and what is said of files that are not there."""

import numpy as np
import pandas as pd
import pytest
from answers import write_answers
from earlier import ARCHIVES, unpack
from rows import row_of

import enas_core
from enas_core.console import UserError
from enas_core.files.tables import write_table

CONFUSION = np.array([[8, 2, 0], [1, 9, 0], [0, 0, 5]])
CLASSES = ["b", "a", "c"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of an earlier version, which lack some columns, and the classes of a network."""
    folder = tmp_path_factory.mktemp("earlier")
    unpack(ARCHIVES[0], folder)
    write_answers(folder / "results/toy", CONFUSION, CLASSES)
    return folder / "results/toy"


@pytest.fixture
def results(folder):
    return enas_core.results(folder)


def test_whole_numbers_stay_whole_where_some_are_missing(results):
    metrics = results.metrics
    assert metrics["search_seed"].dtype == "Int64"
    assert metrics["search_seed"].isna().any()
    assert metrics["search_seed"].dropna().tolist() == [1, 2]
    assert metrics["params"].dtype == "Int64"
    assert metrics["test_accuracy"].dtype == "float64"


def test_columns_that_an_earlier_version_lacks_are_empty(results):
    assert results.metrics["balanced_accuracy"].isna().all()
    assert results.comparison["searched_balanced_mean"].isna().all()


def test_candidates_and_epochs_of_all_searches_and_trainings(results):
    assert results.candidates["search_seed"].unique().tolist() == [1, 2]
    assert results.candidates["selected"].sum() == 2
    assert set(results.candidates["source"]) == {"policy", "random", "named"}
    assert results.search_epochs["seed"].unique().tolist() == [1, 2]
    assert set(results.epochs["network"]) == set(results.metrics["network"])
    assert results.signal["verdict"].notna().all()


def test_candidates_of_a_search_that_is_not_complete(results, tmp_path):
    """Its own are there before the others."""
    (tmp_path / "search/s3/own").mkdir(parents=True)
    own = results.folder / "search/s1/own/candidates.parquet"
    (tmp_path / "search/s3/own/candidates.parquet").write_bytes(own.read_bytes())
    candidates = enas_core.results(tmp_path).candidates
    assert set(candidates["search_seed"]) == {3}
    assert set(candidates["source"]) == {"policy"}


def test_arcs_draw_themselves(results):
    arcs = results.arcs
    assert list(arcs) == results.metrics["network"].unique().tolist()
    (row,) = results.metrics[results.metrics["network"] == "searched-s1"].to_dict("records")
    assert str(arcs["searched-s1"]) == row["arc"]
    assert arcs["searched-s1"]._repr_svg_().startswith("<svg")


def test_classes_confusion_and_the_interval_of_the_final_network(results):
    assert results.classes["correct"].tolist() == [8, 9, 5]
    assert results.confusion.columns.tolist() == results.confusion.index.tolist() == CLASSES
    assert (results.confusion.to_numpy() == CONFUSION).all()
    (row,) = results.final.to_dict("records")
    assert (row["correct"], row["test_images"]) == (22, 25)
    assert row["test_accuracy"] == pytest.approx(0.88)
    # Wilson's formula, written out
    z, n, p = 1.959964, 25, 0.88
    centre, reach = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = [(centre - reach) / (1 + z**2 / n), (centre + reach) / (1 + z**2 / n)]
    assert [row["accuracy_low"], row["accuracy_high"]] == pytest.approx(expected, abs=1e-6)
    assert row["balanced_accuracy"] == pytest.approx((0.8 + 0.9 + 1) / 3)


def test_what_is_not_there_is_said_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder; an experiment's is results/EXPERIMENT$"):
        enas_core.results("nowhere")
    results = enas_core.results(tmp_path)
    with pytest.raises(UserError, match=r"metrics.parquet: not there yet; `snakemake --cores 2 .*` makes it$"):
        _ = results.metrics
    with pytest.raises(UserError, match=r"networks/\*/seed\*/epochs.parquet: none there yet$"):
        _ = results.epochs


def test_tables_of_another_experiment_are_refused(tmp_path):
    for seed, experiment in ((1, "digits"), (2, "elsewhere")):
        row = row_of("signal", experiment=experiment)
        write_table(tmp_path / f"search/s{seed}/signal.parquet", "signal", [row], {})
    with pytest.raises(UserError, match=r"s2/signal.parquet: experiment: 'elsewhere', but 'digits' in .*s1/signal"):
        _ = enas_core.results(tmp_path).signal


def test_all_tables_are_frames(results):
    names = ["metrics", "comparison", "candidates", "epochs", "search_epochs", "signal", "classes", "final"]
    assert all(isinstance(getattr(results, name), pd.DataFrame) for name in names)


def test_tables_that_only_some_experiments_have(tmp_path):
    for name, kind in (("search/s1/strategies.parquet", "strategies"), ("ablation.parquet", "ablation")):
        write_table(tmp_path / name, kind, [row_of(kind)], {})
    results = enas_core.results(tmp_path)
    assert len(results.strategies) == len(results.ablation) == 1
    assert results.ablation["seed"].dtype == "Int64"
