"""The ablation's rows, effects and sentences, from planted searches."""

from pathlib import Path

import numpy as np
import pytest
from rows import row_of

from enas_core import ablation
from enas_core.analysis.ablation import effects, in_order_of_effect, sentences
from enas_core.files.common_columns import SIGNAL_CHECK
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import read_provenance, read_table, write_table
from enas_core.settings.networks import random_network, searched_network
from enas_core.settings.stages import AblationStage, to_json
from enas_core.settings.variants import Variant
from enas_core.spaces.micro.sampling import uniform_arc

VARIANTS = (
    Variant(preset="original"),
    Variant(preset="original", key="clip_norm"),
    Variant(preset="original", key="init_fan_in"),
    Variant(preset="corrected"),
    Variant(preset="corrected", key="init_fan_in"),
)
STAGE = AblationStage(experiment="x", variants=VARIANTS, left_out={"train_aux_head": "there is no auxiliary head"})
FOUND, NEVER, *ARCS = (str(uniform_arc(i, num_nodes=2)) for i in range(10))
TRUTH = [0.70, 0.72, 0.74, 0.76, 0.78, 0.80, 0.82, 0.84]


def planted(variant, seed, mean, tau=None):
    """A row of ablation."""
    row = dict.fromkeys(SCHEMAS["ablation"].names) | {"experiment": "x", "variant": variant.name, "chance": 0.1}
    return row | variant.model_dump() | {"seed": seed, "candidates_mean": mean, "kendall_tau": tau}


def planted_rows(means, noise=(-0.01, 0.0, 0.01)):
    """Three seeds of each variant."""
    return [
        planted(variant, seed, mean + shift)
        for variant, mean in zip(VARIANTS, means, strict=True)
        for seed, shift in enumerate(noise)
    ]


# --- effects -------------------------------------------------------------------------------------


def test_each_variant_is_compared_with_its_preset_and_the_presets_with_each_other():
    found = effects(planted_rows([0.2, 0.21, 0.5, 0.7, 0.3]), "candidates_mean")
    assert [(effect.variant, effect.reference) for effect in found] == [
        ("corrected", "original"),
        ("corrected-init_fan_in", "corrected"),
        ("original+init_fan_in", "original"),
        ("original+clip_norm", "original"),
    ]
    assert [round(effect.change, 9) for effect in found] == [0.5, -0.4, 0.3, 0.01]
    assert [effect.exceeds_noise for effect in found] == [True, True, True, False]
    for effect in found:
        assert effect.low < effect.change < effect.high


def test_the_order_of_the_figure():
    rows = planted_rows([0.2, 0.21, 0.5, 0.7, 0.3])
    assert in_order_of_effect(rows, "candidates_mean") == {
        "original": ["original", "original+init_fan_in", "original+clip_norm"],
        "corrected": ["corrected", "corrected-init_fan_in"],
    }


def test_noise_is_rarely_taken_for_an_effect():
    generator = np.random.default_rng(0)
    false = 0
    for _ in range(300):
        rows = [planted(variant, seed, generator.normal(0.5, 0.1)) for variant in VARIANTS for seed in range(3)]
        false += any(effect.exceeds_noise for effect in effects(rows, "candidates_mean"))
    assert false / 300 < 0.07


@pytest.mark.parametrize("noise", [(0.0,), (0.0, 0.0)], ids=["one seed", "seeds that give the same"])
def test_without_noise_between_seeds_nothing_is_said_of_it(noise):
    rows = planted_rows([0.2, 0.21, 0.5, 0.7, 0.3], noise)
    assert {effect.p for effect in effects(rows, "candidates_mean")} == {None}
    assert sentences(STAGE, rows)[0].startswith(
        "the candidates' mean accuracy: too few seeds to say whether it is noise"
    )


def test_sentences_in_order_of_effect():
    lines = sentences(STAGE, planted_rows([0.2, 0.21, 0.5, 0.7, 0.3]))
    starts = ["corrected against original +0.500 [", "corrected-init_fan_in against corrected -0.400 ["]
    starts += [
        "original+init_fan_in against original +0.300 [",
        "not beyond the noise between seeds: original+clip_norm",
    ]
    for line, start in zip(lines[:4], starts, strict=True):
        assert line.startswith(f"the candidates' mean accuracy: {start}")
    assert lines[4:] == [
        "Kendall's tau: not known of any two variants",
        "left out: train_aux_head: there is no auxiliary head",
    ]


# --- the command ---------------------------------------------------------------------------------


def put_metrics(path: Path) -> None:
    """Random arcs that were trained with two seeds each, and a found one."""
    networks = [(random_network(i), arc, truth) for i, (arc, truth) in enumerate(zip(ARCS, TRUTH, strict=True))]
    rows = []
    for network, arc, truth in [*networks, (searched_network(1), FOUND, 0.99)]:
        for seed, shift in ((1, 0.01), (2, -0.01)):
            row = row_of("metrics", experiment="x", dataset="digits", seed=seed)
            row |= {"network": network.name, "role": network.role, "arc": arc, "test_accuracy": truth + shift}
            rows.append(row)
    write_table(path, "metrics", rows, {"device": "cpu"})


def put_search(folder: Path, experiment: str, seed: int, shared: list[float]) -> Path:
    """The folder of a search that has scored the random arcs so."""
    epochs = [
        row_of("search_epochs", experiment=experiment, dataset="digits", seed=seed, epoch=epoch, seconds=1800.0)
        | {"controller_entropy": 9.0 - epoch}
        for epoch in range(3)
    ]
    candidates = [row_of("candidates", source="policy", space="micro", arc=FOUND, valid_accuracy=0.9, selected=True)]
    for arc, accuracy in zip(ARCS, shared, strict=True):
        candidates.append(row_of("candidates", source="random", space="micro", arc=arc, valid_accuracy=accuracy))
    candidates.append(row_of("candidates", source="random", space="micro", arc=NEVER, valid_accuracy=0.1))
    signal = row_of("signal", experiment=experiment, dataset="digits", seed=seed, verdict="order repeats")
    signal |= {"chance": 0.1, "candidates_mean": 0.9, "reliability": 0.8}
    write_table(folder / "epochs.parquet", "search_epochs", epochs, {"device": "cpu (1 threads)"})
    write_table(folder / "candidates.parquet", "candidates", candidates, {})
    write_table(folder / "signal.parquet", "signal", [signal], {})
    return folder


@pytest.fixture
def run(tmp_path, capsys):
    """Runs the command on these search folders; returns its exit code and what it said."""
    put_metrics(tmp_path / "metrics.parquet")
    (tmp_path / "ablation.json").write_text(to_json(STAGE))

    def call(*searches):
        words = ["--config", tmp_path / "ablation.json", "--metrics", tmp_path / "metrics.parquet"]
        words += ["--searches", *searches, "--out", tmp_path / "ablation.parquet"]
        code = ablation.main([str(word) for word in words])
        return code, capsys.readouterr().err

    return call


def test_a_row_says_what_the_search_is_worth(run, tmp_path):
    searches = [
        put_search(tmp_path / "a", "x/variants/original", 4, [value - 0.4 for value in TRUTH]),
        put_search(tmp_path / "b", "x/variants/corrected-init_fan_in", 5, [1 - value for value in TRUTH]),
    ]
    code, printed = run(*searches)
    assert code == 0
    good, bad = read_table(tmp_path / "ablation.parquet", "ablation")
    assert (good["experiment"], good["dataset"], good["variant"]) == ("x", "digits", "original")
    assert (good["preset"], good["key"], good["seed"]) == ("original", None, 4)
    assert (bad["preset"], bad["key"], bad["seed"]) == ("corrected", "init_fan_in", 5)
    assert (good["n_random"], good["k"]) == (8, 2)
    assert (good["kendall_tau"], good["precision_at_k"], good["regret_at_k"]) == pytest.approx((1, 1, 0))
    assert good["tau_low"] < good["tau_high"] == pytest.approx(1)
    assert (bad["kendall_tau"], bad["precision_at_k"]) == pytest.approx((-1, 0))
    assert bad["regret_at_k"] == pytest.approx(0.84 - 0.72)
    assert good["random_mean"] == pytest.approx(np.mean(TRUTH) - 0.4)
    assert (good["controller_entropy"], good["hours"]) == (7, 1.5)
    assert (good["verdict"], good["candidates_mean"], good["reliability"]) == ("order repeats", 0.9, 0.8)
    assert read_provenance(tmp_path / "ablation.parquet")["device"] == "cpu (1 threads)"
    assert "left out: train_aux_head: there is no auxiliary head" in printed


def test_without_trained_random_arcs_there_is_no_truth(run, tmp_path):
    write_table(tmp_path / "metrics.parquet", "metrics", [row_of("metrics", network="f", role="searched")], {})
    assert run(put_search(tmp_path / "a", "x/variants/original", 4, TRUTH))[0] == 0
    (row,) = read_table(tmp_path / "ablation.parquet", "ablation")
    assert (row["n_random"], row["random_mean"], row["kendall_tau"], row["k"]) == (0, None, None, None)
    assert row["candidates_mean"] == 0.9


@pytest.mark.parametrize("experiment", ["x", "x/variants/original+l2", "y/variants/original"])
def test_searches_of_no_variant_are_refused(experiment, run, tmp_path):
    code, printed = run(put_search(tmp_path / "a", experiment, 4, TRUTH))
    assert code == 2
    assert f"a: a search of {experiment!r}, which is no variant of 'x'" in printed
    assert not (tmp_path / "ablation.parquet").exists()


def test_the_table_has_the_whole_signal_check():
    assert set(SIGNAL_CHECK) <= set(SCHEMAS["ablation"].names)
    assert set(SCHEMAS["signal"].names) == {*SIGNAL_CHECK, "experiment", "dataset", "seed", "seconds"}
