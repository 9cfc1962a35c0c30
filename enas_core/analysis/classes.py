"""How well a network tells each class from the others: what the command `class_accuracy` writes as tables.

Where classes are of unequal size, always answering the commonest one is right often; the balanced accuracy, the mean
over the classes, is then 1 / K.

Shapes: K classes; a confusion matrix [K, K] counts images of each class, a row, by the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from enas_core.analysis.results import Row
from enas_core.analysis.statistics import binomial_interval


def balanced_accuracy(confusion: NDArray[np.int64]) -> float:
    """Mean over the classes of the share of their images that is answered correctly. Classes without images do not
    count."""
    images = confusion.sum(1)
    there = images > 0
    return float((confusion.diagonal()[there] / images[there]).mean())


def class_rows(confusion: NDArray[np.int64], classes: Sequence[str]) -> list[Row]:
    """One row a class. Its accuracy is null where it has no test images, its precision where it is never answered."""
    images, answered, correct = confusion.sum(1), confusion.sum(0), confusion.diagonal()
    intervals = [binomial_interval(int(right), int(of)) for right, of in zip(correct, images, strict=True)]
    return [
        {
            "label": label,
            "class": name,
            "test_images": int(images[label]),
            "answered": int(answered[label]),
            "correct": int(correct[label]),
            "accuracy": intervals[label].value,
            "accuracy_low": intervals[label].low,
            "accuracy_high": intervals[label].high,
            "precision": share(correct[label], answered[label]),
        }
        for label, name in enumerate(classes)
    ]


def share(part: int, whole: int) -> float | None:
    """None of nothing."""
    return int(part) / int(whole) if whole else None


def confusion_rows(confusion: NDArray[np.int64], classes: Sequence[str]) -> list[Row]:
    """One row for each pair of classes, in the order of the labels."""
    return [
        {"class": name, "answer": answer, "images": int(confusion[label, other])}
        for label, name in enumerate(classes)
        for other, answer in enumerate(classes)
    ]


def sentence(confusion: NDArray[np.int64], classes: Sequence[str]) -> str:
    """Accuracy, balanced accuracy, what guessing would give, and the class that is told worst."""
    total, images = int(confusion.sum()), confusion.sum(1)
    commonest = int(images.argmax())
    rows = [row for row in class_rows(confusion, classes) if row["accuracy"] is not None]
    worst = min(rows, key=lambda row: row["accuracy"])
    return (
        f"accuracy {confusion.trace() / total:.1%}, mean over the classes {balanced_accuracy(confusion):.1%}; always"
        f" answering {classes[commonest]} would give {images[commonest] / total:.1%} and {1 / len(rows):.1%}; the worst"
        f" class is {worst['class']}, {worst['accuracy']:.1%} of {worst['test_images']} images"
    )
