"""`search` in config.yaml: training of the supernet and of what proposes its arcs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from enas_core.fields import Count, Float, Seeds, Settings, all_defaults, with_defaults
from enas_core.settings.training import Training

PolicyName = Literal["controller", "uniform"]
OLDER_POLICY_NAMES = {"random": "uniform"}


def _todays_name(value: Any) -> Any:
    return OLDER_POLICY_NAMES.get(value, value) if isinstance(value, str) else value


class Controller(Settings):
    """The LSTM that proposes arcs, and its REINFORCE training. A space adds what its own decisions need."""

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


@with_defaults(
    num_epochs=150,
    batch_size=160,
    num_layers=6,
    num_filters=20,
    keep_prob=0.9,
    l2=1e-4,
    lr_min=0.0005,
)
class Search(Training):
    """Training of the supernet and of what proposes its arcs, in turn."""

    policy: Annotated[
        PolicyName,
        BeforeValidator(_todays_name, json_schema_input_type=Literal["controller", "uniform", "random"]),
    ] = "controller"
    """What proposes arcs. `controller`: the LSTM, trained by REINFORCE. `uniform`: every choice equally likely, and
    nothing is trained beside the supernet (random search with weight sharing, Li & Talwalkar 2019). `random` is an
    older name of `uniform`."""
    valid_images: Count = 5_000
    """The last so many training images are held out for rewards, selection and validation."""
    apply_drop_path: bool = False
    """Whether drop path acts in the search. The original reads its flag and never applies it."""
    reward_dropout: bool = True
    """Whether dropout acts when arcs are scored during the search (rewards and the epochs' validation
    and test accuracies). The original scores with its training graph; without dropout the same arc is
    scored with less noise. Selection is always without."""
    controller: Controller = all_defaults(Controller)


class SearchSection(Search):
    """The section as it stands in config.yaml: one independent search for each of `seeds`."""

    seeds: Seeds = (1,)
    """One independent search for each."""
