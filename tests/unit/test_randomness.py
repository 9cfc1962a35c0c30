"""The seed of every random draw, and the factors by which drop path and dropout act."""

import itertools
from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core.training.randomness import draw_for, noise_factors, stream_seed

# --- seeds --------------------------------------------------------------------------------------


def test_stream_seeds_are_distinct():
    keys = list(itertools.product(range(4), ("crop", "flip", "dropout", "arc"), range(20), range(20)))
    seeds = {stream_seed(seed, purpose, epoch, step) for seed, purpose, epoch, step in keys}
    assert len(seeds) == len(keys)


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 2**64), st.text(), st.lists(st.integers(0, 2**40), max_size=3))
def test_stream_seeds_fit_into_63_bits_and_depend_on_nothing_else(seed, purpose, counters):
    found = stream_seed(seed, purpose, *counters)
    assert 0 <= found < 2**63
    assert stream_seed(seed, purpose, *counters) == found


def test_stream_seeds_stay_what_they_are():
    """Results of earlier runs can be had again only while these values hold."""
    assert stream_seed(1, "crop", 7, 3) == 4_051_483_078_374_858_128
    assert stream_seed(0, "initial weights") == 7_197_512_733_338_915_081


# --- random factors -----------------------------------------------------------------------------

NETWORK = SimpleNamespace(paths=10, num_features=64)


def factors(*arguments):
    """Factors for a network of 10 paths a layer and 64 features: count, seed, and the keep probabilities."""
    return noise_factors(NETWORK, torch.device("cpu"), *arguments)


def test_nothing_is_dropped_without_a_reason():
    assert factors(3, 0, 1.0) == (None, None)


def test_factors_have_their_frequency_and_mean():
    keep = [1.0, 0.9, 0.6]
    drop_path, dropout = factors(2_000, 1, 0.8, keep)
    assert drop_path.shape == (2_000, 3, 10)
    assert dropout.shape == (2_000, 64)
    parts = [*zip(drop_path.unbind(1), keep, strict=True), (dropout, 0.8)]
    for found, probability in parts:
        kept = found != 0
        torch.testing.assert_close(found[kept], torch.full_like(found[kept], 1 / probability))
        error = (probability * (1 - probability) / found.numel()) ** 0.5
        assert abs(kept.double().mean() - probability) <= 5 * error
    assert set(drop_path[:, 0].unique().tolist()) == {1.0}


def test_factors_are_independent_of_each_other():
    drop_path, dropout = factors(5_000, 2, 0.5, [0.5, 0.5])
    columns = torch.cat([drop_path.flatten(1), dropout], 1)
    correlation = np.corrcoef(columns.numpy().T) - np.eye(columns.shape[1])
    assert np.abs(correlation).max() < 6 / 5_000**0.5


def test_factors_depend_on_the_seed_alone():
    one, other = factors(9, 3, 0.5, [0.5]), factors(9, 3, 0.5, [0.5])
    assert all(map(torch.equal, one, other))
    assert not any(map(torch.equal, one, factors(9, 4, 0.5, [0.5])))


def test_one_kind_of_factor_alone():
    drop_path, dropout = factors(4, 0, 1.0, [0.5])
    assert drop_path is not None
    assert dropout is None
    drop_path, dropout = factors(4, 0, 0.5)
    assert drop_path is None
    assert dropout is not None


def test_a_part_of_the_images_has_the_factors_that_it_has_in_the_whole():
    whole = factors(9, 3, 0.5, [0.5, 0.8])
    part = factors(9, 3, 0.5, [0.5, 0.8], slice(2, 5))
    for found, expected in zip(part, whole, strict=True):
        assert torch.equal(found, expected[2:5])


def test_a_draw_is_told_apart_by_its_counters():
    draw = draw_for(1, "crop", 7)
    assert draw(3) == draw_for(1, "crop")(7, 3) == stream_seed(1, "crop", 7, 3)
    assert len({draw(), draw(3), draw(4)}) == 3
