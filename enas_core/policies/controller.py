"""The LSTM that proposes arcs of the micro space: its decisions, their logits and probabilities.

Pham et al. 2018, section 2.2 and 2.4, as in `micro_controller.py` of the original. The controller is small and
sequential, so it stays on the CPU whatever device the supernet is on. `reinforce.py` trains it.

Shapes: A arcs side by side, H hidden units, C choices of a decision, D decisions of an arc, K states that a node may
read.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from enas_core.settings.search import Controller as ControllerSettings
from enas_core.spaces.micro.arc import CELLS, OPS, MicroArc
from enas_core.spaces.micro.space import Micro

INIT_RANGE = 0.1
"""Initial weights are uniform between minus this and this."""

TEXT_ORDER = [0, 2, 1, 3]
"""Where the decisions of a node, taken as index, index, op, op, stand in the arc: index_1, op_1, index_2, op_2."""


class Sample(NamedTuple):
    """Arcs and what the policy thinks of them."""

    arcs: list[MicroArc]
    log_prob: Tensor
    """[A], nats, summed over all decisions."""
    entropy: Tensor
    """[A], nats, summed over all decisions."""
    logits: list[Tensor]
    """[A, C] of each decision, in the order in which it is taken: a node's two indices, then its two operations."""


class Controller(nn.Module):
    """LSTM with attention over earlier nodes for the indices and a softmax layer for the operations."""

    op_prior: Tensor

    def __init__(self, space: Micro, settings: ControllerSettings, generator: Generator) -> None:
        """`generator` draws the initial weights but for the operations' bias."""
        super().__init__()
        size = settings.hidden_size
        self.hidden_size, self.num_nodes = size, space.settings.num_nodes
        self.index_constant = settings.tanh_constant
        self.op_constant = settings.tanh_constant / space.settings.op_tanh_reduce

        def weight(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-INIT_RANGE, INIT_RANGE, generator=generator))

        self.w_lstm = weight(2 * size, 4 * size)
        self.g_emb = weight(1, size)
        self.w_emb = weight(len(OPS), size)
        self.w_soft = weight(size, len(OPS))
        self.b_soft = nn.Parameter(torch.tensor([space.settings.op_bias_init]))
        self.w_attn_1 = weight(size, size)
        self.w_attn_2 = weight(size, size)
        self.v_attn = weight(size, 1)
        self.register_buffer("op_prior", torch.tensor(space.settings.normal_op_prior), persistent=False)

    def sample(self, count: int, generator: Generator) -> Sample:
        """`count` arcs drawn from the policy."""
        uniform = torch.rand(count, 8 * self.num_nodes, generator=generator)
        return self._decide(count, uniform=uniform)

    def score(self, arcs: list[MicroArc]) -> Sample:
        """Log-probability and entropy of given arcs, with gradient."""
        decisions = []
        for arc in arcs:
            nodes = [node for cell in arc.cells for node in cell]
            decisions.append([(node.index_1, node.index_2, node.op_1, node.op_2) for node in nodes])
        return self._decide(len(arcs), given=torch.tensor(decisions).flatten(1))

    def _decide(self, count: int, uniform: Tensor | None = None, given: Tensor | None = None) -> Sample:
        """All decisions for `count` arcs side by side, drawn with `uniform` [A, D] or as `given` [A, D]."""
        choices: list[Tensor] = []
        all_logits: list[Tensor] = []
        start = self.g_emb.expand(count, -1)
        zero = start.new_zeros(count, self.hidden_size)
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
        """The next (c, h), each [A, H], from the input `x` [A, H] and the last ones."""
        c, h = state
        i, f, o, g = (torch.cat([x, h], 1) @ self.w_lstm).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return c, torch.sigmoid(o) * torch.tanh(c)

    def _index_logits(self, h: Tensor, keys: Tensor) -> Tensor:
        """[A, K] from `h` [A, H] and `keys` [A, K, H]."""
        query = (h @ self.w_attn_2)[:, None]
        return self.index_constant * torch.tanh(torch.tanh(keys + query) @ self.v_attn).squeeze(2)

    def _op_logits(self, h: Tensor, normal: bool) -> Tensor:
        """[A, operations] from `h` [A, H]."""
        logits = self.op_constant * torch.tanh(h @ self.w_soft + self.b_soft)
        return logits + self.op_prior if normal else logits

    def _summary(self, choices: list[Tensor], all_logits: list[Tensor]) -> Sample:
        log_prob = entropy = torch.zeros(())
        for choice, logits in zip(choices, all_logits, strict=True):
            log_p = F.log_softmax(logits, 1)
            log_prob = log_prob + log_p.gather(1, choice[:, None]).squeeze(1)
            entropy = entropy - (log_p.exp() * log_p).sum(1)
        by_node = torch.stack(choices, 1).view(len(choices[0]), -1, 4)
        integers = by_node[:, :, TEXT_ORDER].flatten(1)
        arcs = [MicroArc.from_integers(row) for row in integers.tolist()]
        return Sample(arcs, log_prob, entropy, all_logits)
