"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from enas_core.console import UserError
from enas_core.fields import Count, Filters, Float, Probability, Seeds, Settings
from enas_core.spaces.micro.settings import OpValues


class Training(Settings):
    """What search and augment have in common: network size, optimiser and regularisation."""

    num_epochs: Count
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2)]
    """Images a step."""
    num_layers: Count
    """Normal cells in the network; two reduction cells come on top."""
    num_filters: Filters
    """Channels of the first cells' nodes; each reduction cell doubles them."""
    aux_head: bool = True
    """Second classifier behind the second reduction cell, used in training only."""
    aux_weight: Annotated[Float, Field(ge=0)] = 0.4
    """Weight of the auxiliary head's cross-entropy in the loss."""
    keep_prob: Probability
    """Probability of keeping a channel before the classifier (1: no dropout)."""
    drop_path_keep_prob: Probability = 0.6
    """Probability of keeping an operation's output in the last layer at the end of training; it falls
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

    @model_validator(mode="after")
    def _check(self) -> Training:
        if self.lr_min > self.lr_max:
            raise UserError(f"lr_min: {self.lr_min} is above lr_max = {self.lr_max}")
        return self


class Controller(Settings):
    """The LSTM policy that samples arcs, and its REINFORCE training."""

    hidden_size: Count = 64
    """Units of the LSTM."""
    learning_rate: Annotated[Float, Field(gt=0)] = 0.0035
    """Adam's learning rate."""
    adam_beta1: Annotated[Float, Field(ge=0, lt=1)] = 0.0
    """Adam's decay of the first moment."""
    adam_beta2: Annotated[Float, Field(ge=0, lt=1)] = 0.999
    """Adam's decay of the second moment."""
    adam_epsilon: Annotated[Float, Field(gt=0)] = 1e-3
    """Adam's epsilon."""
    adam_epsilon_placement: Literal["tensorflow", "standard"] = "tensorflow"
    """`tensorflow`: epsilon is added to the root of the biased second moment, as the original's
    library does, which makes early steps up to 30 times smaller. `standard`: added after the bias
    correction (Kingma & Ba 2015, algorithm 1)."""
    tanh_constant: Annotated[Float, Field(gt=0)] = 1.10
    """Logits are tanh_constant * tanh(.), which bounds how sure the policy can be."""
    op_tanh_reduce: Annotated[Float, Field(gt=0)] = 2.5
    """The constant is divided by this for operations."""
    op_bias_init: OpValues = (10.0, 10.0, 0.0, 0.0, 0.0)
    """Initial bias of each operation's logit, inside the tanh. The original starts the separable
    convolutions at 10, where the tanh is saturated and its gradient exactly 0: their logits stay at
    +0.44 for ever. 0 lets all of them learn."""
    normal_op_prior: OpValues = (0.25, 0.25, -0.25, -0.25, -0.25)
    """Constant added to the operations' logits in the normal cell, outside the tanh."""
    entropy_weight: Annotated[Float, Field(ge=0)] = 1e-4
    """Weight of the arc's entropy (nats over all decisions) in the reward; it gets no gradient."""
    baseline_decay: Annotated[Float, Field(ge=0, lt=1)] = 0.99
    """Decay of the moving average of rewards that serves as baseline; it starts at 0."""
    advantage_baseline: Literal["updated", "previous"] = "updated"
    """The advantage is reward minus this baseline. `updated`: the original has already mixed the
    present reward in, which scales every advantage by baseline_decay. `previous`: independent of the
    present reward, as REINFORCE asks."""
    updates_per_epoch: Annotated[int, Field(ge=0, le=1_000_000)] = 30
    """Controller updates after each epoch of the supernet."""
    arcs_per_update: Count = 10
    """Sampled arcs whose gradients each update averages."""


class Search(Training):
    """Training of the supernet and the controller in turn."""

    num_epochs: Count = 150
    batch_size: Annotated[int, Field(ge=2)] = 160
    num_layers: Count = 6
    num_filters: Filters = 20
    keep_prob: Probability = 0.9
    l2: Annotated[Float, Field(ge=0)] = 1e-4
    lr_min: Annotated[Float, Field(ge=0)] = 0.0005
    policy: Literal["controller", "random"] = "controller"
    """What samples arcs. `controller`: the LSTM policy. `random`: every valid index and operation equally
    likely, and no controller is trained (random search with weight sharing, Li & Talwalkar 2019); what is
    called the controller's candidates are then the uniformly sampled ones."""
    valid_images: Count = 5_000
    """The last so many training images are held out for rewards, selection and validation."""
    apply_drop_path: bool = False
    """Whether drop path acts in the search. The original reads its flag and never applies it."""
    reduction_inputs: Literal["previous", "both"] = "previous"
    """What a reduction layer of the supernet reads. `previous`: both inputs are made from the previous
    layer's output, as in the original, so that the search never sees the wiring that is retrained.
    `both`: from the two previous layers, as in the retrained network."""
    reward_dropout: bool = True
    """Whether dropout acts when arcs are scored during the search (rewards and the epochs' validation
    and test accuracies). The original scores with its training graph; without dropout the same arc is
    scored with less noise. Selection is always without."""
    controller: Controller = Controller()


class Augment(Training):
    """Training of one arc from scratch, deeper and wider."""

    num_epochs: Count = 630
    batch_size: Annotated[int, Field(ge=2)] = 144
    num_layers: Count = 15
    num_filters: Filters = 36
    keep_prob: Probability = 0.8
    l2: Annotated[Float, Field(ge=0)] = 2e-4
    lr_min: Annotated[Float, Field(ge=0)] = 0.0001
    bn_zero_debias: bool = True
    """Whether the moving statistics of batch norm ignore their initial 0 and 1 (the original), which
    matters in the first hundred steps only; false: the ordinary moving average of torch."""


class SearchSection(Search):
    """`search` in config.yaml."""

    seeds: Seeds = (1,)
    """One independent search for each."""


class AugmentSection(Augment):
    """`augment` in config.yaml."""

    seeds: Seeds = (1,)
    """Each network is trained once for each."""


def check_training(section: str, training: Training, images: int, size: int) -> None:
    """Raise UserError unless a training of `section` can use so many images of `size` x `size` pixels."""
    if training.batch_size > images:
        raise UserError(
            f"{section}.batch_size: {training.batch_size} is out of range 2..{images} ({images} training images)"
        )
    if training.aux_head and size // 4 < 5:
        raise UserError(
            f"{section}.aux_head: true needs images of at least 20x20, these have {size}x{size}; allowed: false"
        )
