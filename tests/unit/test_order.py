"""The order of a user's own images: every beginning and every end of it is a fair draw from each class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enas_core.data.order import divide, stratified_order

classes = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def labels_of(counts):
    """Class by class, as files are listed."""
    return np.repeat(np.arange(len(counts)), counts)


@given(classes, st.integers(0, 2**40), st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_beginnings_and_ends_hold_a_fair_share_of_each_class(counts, seed, data):
    labels = labels_of(counts)
    order = stratified_order(labels, seed, 1)
    assert sorted(order) == list(range(len(labels)))
    k = data.draw(st.integers(0, len(labels)))
    for part in (labels[order[:k]], labels[order[len(labels) - k :]]):
        found = np.bincount(part, minlength=len(counts))
        # Places are even within a class; where the k-th lies is known to within one image of each other class.
        assert (np.abs(found - k * np.array(counts) / len(labels)) <= 2).all()


def test_which_images_are_last_is_drawn():
    labels = labels_of([50, 30])
    last = [frozenset(stratified_order(labels, seed, 1)[-16:]) for seed in range(30)]
    assert len(set(last)) == 30
    assert len(set.union(*map(set, last))) > 75  # in 30 draws nearly every image has been among the last
    assert (stratified_order(labels, 3, 1) == stratified_order(labels, 3, 1)).all()
    assert (stratified_order(labels, 3, 1) != stratified_order(labels, 3, 2)).any()


@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.floats(0.01, 0.99), st.integers(0, 2**40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_test_part_has_its_share_of_each_class(counts, share, seed):
    labels = labels_of(counts)
    train, test = divide(labels, share, seed, 0)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        number = int((labels[test] == label).sum())
        assert 1 <= number <= count - 1
        assert number == pytest.approx(share * count, abs=1)
