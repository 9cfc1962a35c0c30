"""SGD over one flat tensor, and which parameters it moves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from enas_core.settings.training import Training
from enas_core.spaces.networks import Network, Supernet

ALIGNMENT = 16  # values: parameters start at multiples of 64 bytes


def trained_parameters(network: Network | Supernet, training: Training) -> list[nn.Parameter]:
    """The parameters that the optimiser and the L2 term see."""
    frozen = set()
    if network.aux_head is not None and not training.train_aux_head:
        frozen = set(network.aux_head.parameters())
    return [p for p in network.parameters() if p not in frozen]


class FlatSGD:
    """SGD with Nesterov momentum over one flat tensor, of which the parameters are views, as their
    gradients are of another. So weights that a child does not use have zero gradients rather than none:
    they decay and keep their momentum, as in the original, at the cost of three passes over memory.

    The step is torch's function, not its class, whose first object imports torch's compiler: for two seconds, in
    which a small network is trained."""

    def __init__(self, parameters: Sequence[nn.Parameter], training: Training) -> None:
        sizes = [-(-p.numel() // ALIGNMENT) * ALIGNMENT for p in parameters]
        self.values = nn.Parameter(parameters[0].new_zeros(sum(sizes)))
        self.gradients = self.values.grad = torch.zeros_like(self.values)
        self.l2, self.clip_norm = training.l2, training.clip_norm
        values, gradients = self.values.data.split(sizes), self.gradients.split(sizes)
        for p, value, grad in zip(parameters, values, gradients, strict=True):
            value[: p.numel()].copy_(p.data.flatten())
            p.data = value[: p.numel()].view(p.shape)
            p.grad = grad[: p.numel()].view(p.shape)
        self.momentum = training.momentum
        self.moving: list[Tensor | None] = [None] if training.momentum > 0 else []
        """The moving sum of gradients, from the first step on."""

    @torch.no_grad()
    def step(self, learning_rate: float) -> Tensor:
        """Apply the accumulated gradient plus that of l2 * sum(w^2), and zero it. Returns the global norm
        before clipping, on the device."""
        gradient = self.gradients
        gradient.add_(self.values, alpha=2 * self.l2)
        norm = torch.dot(gradient, gradient).sqrt()  # on a CPU ten times faster than torch.linalg.vector_norm
        if self.clip_norm is not None:
            gradient.mul_((self.clip_norm / norm).clamp(max=1.0))
        sgd(
            [self.values],
            [gradient],
            self.moving,
            lr=learning_rate,
            momentum=self.momentum,
            nesterov=self.momentum > 0,
            dampening=0,
            weight_decay=0,
            maximize=False,
            fused=True,
        )
        gradient.zero_()
        return norm

    def state_dict(self) -> dict[str, Tensor]:
        """Values and momentum."""
        state = {"values": self.values.data}
        for moving in self.moving:
            if moving is not None:
                state["momentum"] = moving
        return state

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`. Raises ValueError when it is another network's."""
        for name, values in state.items():
            if values.shape != self.values.shape:
                raise ValueError(f"{name} of shape {[*values.shape]}, not {[*self.values.shape]}")
        self.values.copy_(state["values"])
        if "momentum" in state:
            self.moving = [state["momentum"].to(self.values.device)]


def untrained_state(network: nn.Module, sgd: FlatSGD) -> dict[str, Tensor]:
    """The part of the network's state that is not in the optimiser's flat tensor."""
    storage = sgd.values.untyped_storage().data_ptr()
    state = network.state_dict()
    return {name: t for name, t in state.items() if t.untyped_storage().data_ptr() != storage}
