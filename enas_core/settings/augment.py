"""`augment` in config.yaml: training of one arc from scratch, deeper and wider."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from enas_core.fields import Seeds, with_defaults
from enas_core.settings.training import Training


@with_defaults(
    num_epochs=630,
    batch_size=144,
    num_layers=15,
    num_filters=36,
    keep_prob=0.8,
    l2=2e-4,
    lr_min=0.0001,
)
class Augment(Training):
    """Training of one arc from scratch, deeper and wider."""

    valid_images: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """The last so many training images are held out and evaluated after each epoch, so that networks can be compared by
    a validation accuracy; with as many as `search.valid_images` they are the images on which the search selects. 0:
    none, and all images are trained on, as in the original."""
    bn_zero_debias: bool = True
    """Whether the moving statistics of batch norm ignore their initial 0 and 1 (the original), which
    matters in the first hundred steps only; false: the ordinary moving average of torch."""


class AugmentSection(Augment):
    """The section as it stands in config.yaml: each network is trained once for each of `seeds`."""

    seeds: Seeds = (1,)
    """Each network is trained once for each."""
