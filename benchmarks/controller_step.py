"""The controller's part of the search: sampling arcs, their rewards (a forward pass on a validation batch each,
batch 160), and the update from ten of them. The headline is the reward's forward pass."""

from __future__ import annotations

import models
import torch
from harness import Work, alternate, finish, parser, rows

from enas_core.policies.controller import Controller
from enas_core.policies.reinforce import Reinforce
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.training.device import pick_device

ARCS = models.SEARCH.controller.arcs_per_update


def sampling(controller: Controller) -> dict[str, Work]:
    """Ten arcs, one after the other as the original samples them, and side by side."""
    generator = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def sample(times: int, count: int) -> None:
        for _ in range(times):
            controller.sample(count, generator)

    return {"one by one": lambda k: sample(ARCS, 1), "side by side": lambda k: sample(1, ARCS)}


def updates(reinforce: Reinforce) -> dict[str, Work]:
    """REINFORCE on ten arcs: each on its own as the original computes gradients, and side by side."""
    arcs = [uniform_arc(seed) for seed in range(ARCS)]

    def one_by_one(k: int) -> None:
        for arc in arcs:
            reinforce.update([arc], [0.5])

    return {"one by one": one_by_one, "side by side": lambda k: reinforce.update(arcs, [0.5] * ARCS)}


def main() -> None:
    options_parser = parser(__doc__, rounds=20)
    options_parser.add_argument("--batch-size", type=int, default=models.SEARCH.batch_size, help="images (%(default)s)")
    options = options_parser.parse_args()
    pick_device("cpu", options.threads)
    rounds = 5 if options.quick else options.rounds
    policy = models.policy()
    table = rows(f"sampling {ARCS} arcs", alternate(sampling(policy.controller), rounds), "one by one")
    table += rows(f"update from {ARCS} arcs", alternate(updates(policy), rounds), "one by one")
    inputs = models.batch(options.batch_size)
    rewards = {
        "yardstick": models.plain_forward(models.plain_supernet(), *inputs),
        "project": models.forward(models.fused(models.supernet()), *inputs),
    }
    table += rows("reward forward", alternate(rewards, rounds), "yardstick", images=options.batch_size)
    finish(table, table[-1]["ratio"], "controller_step", options)


if __name__ == "__main__":
    main()
