"""The LSTM policy that samples arcs, and its training by REINFORCE.

Pham et al. 2018, section 2.2 and 2.4, as in `micro_controller.py` of the original. The controller is
small and sequential, so it stays on the CPU whatever device the supernet is on.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enas_core.settings.training import Controller as ControllerSettings
from enas_core.spaces.micro.arc import CELLS, OPS
from enas_core.spaces.micro.arc import MicroArc as Arc

INIT_RANGE = 0.1


class Sample(NamedTuple):
    """Arcs and what the policy thinks of them. `log_prob`, `entropy` [arcs]: nats, summed over all
    decisions. `logits`: of each decision in the order in which it is taken (a node's two indices, then its
    two operations), [arcs, choices]."""

    arcs: list[Arc]
    log_prob: Tensor
    entropy: Tensor
    logits: list[Tensor]


class Controller(nn.Module):
    """LSTM with attention over earlier nodes for the indices and a softmax layer for the operations.

    `generator` draws the initial weights, uniform in (-0.1, 0.1) but for the operations' bias."""

    op_prior: Tensor

    def __init__(self, settings: ControllerSettings, num_nodes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.settings, self.num_nodes, size = settings, num_nodes, settings.hidden_size

        def weight(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-INIT_RANGE, INIT_RANGE, generator=generator))

        self.w_lstm = weight(2 * size, 4 * size)
        self.g_emb = weight(1, size)
        self.w_emb = weight(len(OPS), size)
        self.w_soft = weight(size, len(OPS))
        self.b_soft = nn.Parameter(torch.tensor([settings.op_bias_init]))
        self.w_attn_1 = weight(size, size)
        self.w_attn_2 = weight(size, size)
        self.v_attn = weight(size, 1)
        self.register_buffer("op_prior", torch.tensor(settings.normal_op_prior), persistent=False)

    def sample(self, count: int, generator: torch.Generator) -> Sample:
        """`count` arcs drawn from the policy."""
        uniform = torch.rand(count, 8 * self.num_nodes, generator=generator)
        return self._decide(count, uniform=uniform)

    def score(self, arcs: list[Arc]) -> Sample:
        """Log-probability and entropy of given arcs, with gradient."""
        nodes = [[(n.index_1, n.index_2, n.op_1, n.op_2) for cell in arc.cells for n in cell] for arc in arcs]
        return self._decide(len(arcs), given=torch.tensor(nodes).flatten(1))

    def _decide(self, count: int, uniform: Tensor | None = None, given: Tensor | None = None) -> Sample:
        """All decisions for `count` arcs side by side, drawn with `uniform` or as `given` [count, 8 * nodes]."""
        choices: list[Tensor] = []
        all_logits: list[Tensor] = []
        start = self.g_emb.expand(count, -1)
        zero = start.new_zeros(count, self.settings.hidden_size)
        state, x = (zero, zero), start

        def choose(logits: Tensor) -> Tensor:
            k = len(choices)
            if given is not None:
                choice = given[:, k]
            else:
                assert uniform is not None
                below = F.softmax(logits.detach(), 1).cumsum(1) < uniform[:, k : k + 1]
                choice = below.sum(1).clamp_(max=logits.shape[1] - 1)
            choices.append(choice)
            all_logits.append(logits)
            return choice

        for cell in CELLS:
            anchors, keys = [], []
            for _ in range(2):  # the cell's inputs
                state = self._lstm(start, state)
                anchors.append(zero)
                keys.append(state[1] @ self.w_attn_1)
            x = start
            for _ in range(self.num_nodes):
                for _ in range(2):
                    state = self._lstm(x, state)
                    index = choose(self._index_logits(state[1], torch.stack(keys, 1)))
                    x = torch.stack(anchors, 1)[torch.arange(count), index]
                for _ in range(2):
                    state = self._lstm(x, state)
                    op = choose(self._op_logits(state[1], cell == "normal"))
                    x = self.w_emb[op]
                state = self._lstm(x, state)
                anchors.append(state[1])
                keys.append(state[1] @ self.w_attn_1)
                x = start
        return self._summary(choices, all_logits)

    def _lstm(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        c, h = state
        i, f, o, g = (torch.cat([x, h], 1) @ self.w_lstm).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return c, torch.sigmoid(o) * torch.tanh(c)

    def _index_logits(self, h: Tensor, keys: Tensor) -> Tensor:
        query = (h @ self.w_attn_2)[:, None]
        return self.settings.tanh_constant * torch.tanh(torch.tanh(keys + query) @ self.v_attn).squeeze(2)

    def _op_logits(self, h: Tensor, normal: bool) -> Tensor:
        constant = self.settings.tanh_constant / self.settings.op_tanh_reduce
        logits = constant * torch.tanh(h @ self.w_soft + self.b_soft)
        return logits + self.op_prior if normal else logits

    def _summary(self, choices: list[Tensor], all_logits: list[Tensor]) -> Sample:
        log_prob, entropy = 0.0, 0.0
        for choice, logits in zip(choices, all_logits, strict=True):
            log_p = F.log_softmax(logits, 1)
            log_prob = log_prob + log_p.gather(1, choice[:, None]).squeeze(1)
            entropy = entropy - (log_p.exp() * log_p).sum(1)
        decisions = torch.stack(choices, 1).view(len(choices[0]), -1, 4)[:, :, [0, 2, 1, 3]].flatten(1)
        return Sample([Arc.from_integers(row) for row in decisions.tolist()], log_prob, entropy, all_logits)


class UpdateResult(NamedTuple):
    """One update: the loss, the mean reward and entropy of its arcs, the gradient's global norm."""

    loss: float
    reward: float
    entropy: float
    grad_norm: float


class Reinforce:
    """REINFORCE with a moving baseline and Adam. One update averages the gradients of several arcs."""

    def __init__(self, controller: Controller) -> None:
        self.controller, self.settings = controller, controller.settings
        self.baseline = 0.0
        self.steps = 0
        self.optimizer = torch.optim.Adam(
            controller.parameters(),
            lr=self.settings.learning_rate,
            betas=(self.settings.adam_beta1, self.settings.adam_beta2),
            eps=self.settings.adam_epsilon,
        )

    def update(self, arcs: list[Arc], accuracies: list[float]) -> UpdateResult:
        """One step from the arcs' validation accuracies (0..1)."""
        sample = self.controller.score(arcs)
        rewards = [
            accuracy + self.settings.entropy_weight * entropy
            for accuracy, entropy in zip(accuracies, sample.entropy.tolist(), strict=True)
        ]
        advantages = sample.log_prob.new_tensor([self._advantage(reward) for reward in rewards])
        loss = -(sample.log_prob * advantages).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        grad_norm = torch.nn.utils.get_total_norm(
            [p.grad for p in self.controller.parameters() if p.grad is not None]
        ).item()
        self._adam_step()
        return UpdateResult(loss.item(), sum(rewards) / len(rewards), sample.entropy.mean().item(), grad_norm)

    def _advantage(self, reward: float) -> float:
        previous = self.baseline
        self.baseline += (1 - self.settings.baseline_decay) * (reward - self.baseline)
        return reward - (self.baseline if self.settings.advantage_baseline == "updated" else previous)

    def _adam_step(self) -> None:
        """torch adds epsilon after the bias correction; dividing it by the correction's factor is the same
        as TensorFlow's adding it before."""
        self.steps += 1
        if self.settings.adam_epsilon_placement == "tensorflow":
            correction = math.sqrt(1 - self.settings.adam_beta2**self.steps)
            self.optimizer.param_groups[0]["eps"] = self.settings.adam_epsilon / correction
        self.optimizer.step()

    def state_dict(self) -> dict[str, object]:
        """Everything that `load_state_dict` needs to go on, the controller's weights included."""
        return {
            "controller": self.controller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline,
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from `state`."""
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline, self.steps = state["baseline"], state["steps"]
