"""What search and augment have in common: network size, optimiser and regularisation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from enas_core.fields import LATER, Count, Filters, Float, Layers, Probability, Settings
from enas_core.spaces.space import NetworkShape, StemName


class Training(Settings):
    """A training of one network. Fields without a default get one in `Search` and in `Augment`."""

    num_epochs: Count
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2)]
    """Images a step."""
    valid_images: Annotated[int, Field(ge=0, le=1_000_000)]
    """The last so many training images are held out: nothing is trained on them."""
    max_train_images: Count | None = None
    """Train on the first so many of those training images that are not held out; null: on all of them. Which images
    are held out does not depend on it: they stay the last ones of the dataset's training part, as
    `dataset.max_train_images` leaves it."""
    num_layers: Layers
    """Layers of the network; those in which it halves its feature maps come on top."""
    num_filters: Filters
    """Channels of the first layers; each halving of the feature maps doubles them."""
    stem: Annotated[StemName, LATER] = "plain"
    """What comes before the first layer. `plain`: one convolution, as in the original. `strided`: three, each of which
    halves the maps, for images of some 64 pixels or more (the 224-pixel networks of Yang et al. 2020)."""
    aux_head: bool = True
    """Second classifier behind the last halving of the feature maps, used in training only."""
    aux_weight: Annotated[Float, Field(ge=0)] = 0.4
    """Weight of the auxiliary head's cross-entropy in the loss."""
    keep_prob: Probability
    """Probability of keeping a channel before the classifier (1: no dropout)."""
    drop_path_keep_prob: Probability = 0.6
    """Probability of keeping a path's output in the last layer at the end of training; it falls
    linearly from 1 with depth and with time (1: no drop path)."""
    l2: Annotated[Float, Field(ge=0)]
    """Coefficient of sum(w^2) in the loss, over every weight that is trained, batch norm included."""
    lr_max: Annotated[Float, Field(gt=0)] = 0.05
    """Learning rate at the start of each cosine period."""
    lr_min: Annotated[Float, Field(ge=0)]
    """Learning rate towards which each period falls."""
    lr_t_0: Count = 10
    """Length of the first cosine period, epochs."""
    lr_t_mul: Count = 2
    """Each period is so many times longer than the one before."""
    momentum: Annotated[Float, Field(ge=0, lt=1)] = 0.9
    """Nesterov momentum of SGD."""
    train_aux_head: bool = False
    """Whether the auxiliary head's own weights are trained. The original leaves them at their random
    start (its optimiser is not given them) and still sends their gradient into the trunk. Training
    them is what a deep-supervision head is for."""
    clip_norm: Annotated[Float, Field(gt=0)] | None = None
    """Largest global norm of the gradient; null: no clipping. The original computes gradients clipped
    at 5.0 and then applies the unclipped ones; 5.0 is what its flag asks for."""
    restart_first_step_mean: bool = True
    """Whether the first step of each warm restart gets (lr_max + lr_min) / 2. In the original one
    step is taken before the restart's counters are consistent; SGDR has no such step."""
    init_fan_in: Literal["tensorflow", "exact"] = "tensorflow"
    """Fan-in of the He-normal initialisation. `tensorflow`: as the original's tensor shapes imply,
    k*k*C for a depthwise convolution and the number of rows (2..7) for the packed weights of the
    supernet, whose standard deviations become 0.5..1. `exact`: the number of inputs that each output
    really sums over."""
    sync_batch_norm: bool = True
    """Of a training on several GPUs: whether batch norm's statistics are those of the whole batch, so that results
    do not depend on the number of GPUs, or (false, faster) of each GPU's part of it."""

    def trained_images(self, images: int) -> int:
        """How many of a dataset's `images` training images it trains on: so many of the first ones."""
        rest = images - self.valid_images
        return min(rest, self.max_train_images or rest)

    def shape(self, image_size: int, in_channels: int, num_classes: int) -> NetworkShape:
        """Of the networks that this section trains on such images."""
        return NetworkShape(
            num_layers=self.num_layers,
            num_filters=self.num_filters,
            image_size=image_size,
            in_channels=in_channels,
            num_classes=num_classes,
            aux_head=self.aux_head,
            stem=self.stem,
        )

    @model_validator(mode="after")
    def _check(self) -> Training:
        if self.lr_min > self.lr_max:
            raise ValueError(f"lr_min: {self.lr_min} is above lr_max = {self.lr_max}")
        return self
