"""The arithmetic of an estimate."""

import pytest
from planned import COST, IMAGES, small_experiment

from enas_core.planning.calibrate import Cost
from enas_core.planning.costs import augment_seconds, job_seconds, search_seconds, typical


@pytest.fixture
def experiment():
    return small_experiment()


@pytest.mark.parametrize(
    ("rule", "seconds"),
    [
        # 3 steps, 5 * 7 rewards and 5 updates, 2 validation and 2 test batches an epoch
        ("search", 1000 + 3 * (3 * 10 + 35 * 1 + 5 * 0.1 + 4 * 1)),
        # 2 validation batches an arc
        ("select_arc", 1000 + 11 * (0.1 + 2 * 1)),
        ("score_arcs", 1000 + 3 * (0.1 + 2 * 1)),
        # 5 steps and 2 test batches an epoch
        ("augment", 1000 + 4 * (5 * 10 + 2 * 1)),
    ],
)
def test_seconds_of_a_job(rule, seconds, experiment):
    assert job_seconds(rule, experiment, IMAGES, COST) == pytest.approx(seconds)


def test_held_out_images_are_evaluated_and_not_trained_on(experiment):
    # 90 images to train on: 3 steps, 2 test and 2 validation batches an epoch
    augment = experiment.augment.model_copy(update={"valid_images": 50})
    held_out = experiment.model_copy(update={"augment": augment})
    assert augment_seconds(held_out, IMAGES, COST) == pytest.approx(1000 + 4 * (3 * 10 + 4 * 1))


def test_sections_may_train_on_fewer_images(experiment):
    # 40 images to train on: 2 steps; the evaluations are the same
    search = experiment.search.model_copy(update={"max_train_images": 40})
    augment = experiment.augment.model_copy(update={"max_train_images": 40})
    fewer = experiment.model_copy(update={"search": search, "augment": augment})
    assert search_seconds(experiment, IMAGES, COST) - search_seconds(fewer, IMAGES, COST) == pytest.approx(3 * 1 * 10)
    assert augment_seconds(experiment, IMAGES, COST) - augment_seconds(fewer, IMAGES, COST) == pytest.approx(4 * 3 * 10)


def test_a_random_policy_has_no_controller_to_train(experiment):
    search = experiment.search.model_copy(update={"policy": "uniform"})
    random = experiment.model_copy(update={"search": search})
    assert search_seconds(random, IMAGES, COST) == pytest.approx(1000 + 3 * (3 * 10 + 4 * 1))


def test_the_typical_cost_is_the_median_with_the_most_memory():
    costs = [Cost(s, 2 * s, 3 * s, 0.0, m, "cpu") for s, m in ((1.0, 5), (9.0, 7), (2.0, 6))]
    assert typical(costs) == Cost(2.0, 4.0, 6.0, 0.0, 7, "cpu")
