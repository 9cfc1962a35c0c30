"""What saving the state of a search or an augment run costs at the default interval. `overhead` is the share of
the time that goes into saving; the headline is the larger of the two (0.01 is one percent)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import models
from harness import Work, alternate, finish, parser, rows

from enas_core.settings.dataset import DATASETS
from enas_core.settings.training import Training
from enas_core.settings.workflow import Workflow
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.networks import Network, Supernet
from enas_core.training.checkpoint import StateDirectory
from enas_core.training.descent import Descent
from enas_core.training.device import pick_device
from enas_core.training.processes import ALONE

INTERVAL = 60 * Workflow.model_fields["save_every"].default


def descent_state(net: Network | Supernet, training: Training) -> dict[str, Any]:
    """The network's part of a state, after a step, with which the optimiser's momentum is there."""
    images = DATASETS["cifar10"].train_images - training.valid_images
    descent = Descent("benchmark", net, training, images, ALONE)
    descent.sgd.step(models.LEARNING_RATE)
    return descent.state_dict()


def search_state() -> dict[str, Any]:
    """What a search of the original's size saves, but for its rows and its position."""
    policy = models.policy()
    policy.update([uniform_arc(0)], [0.5])
    descent = descent_state(models.fused(models.supernet()), models.SEARCH)
    return {"descent": descent, "policy": policy.state_dict()}


def augment_state() -> dict[str, Any]:
    """The same of an augment run."""
    return {"descent": descent_state(models.fused(models.network(uniform_arc(0))), models.AUGMENT)}


def saving(directory: StateDirectory, state: dict[str, Any]) -> Work:
    """One save."""
    return lambda k: directory.save(state)


def main() -> None:
    options_parser = parser(__doc__, rounds=20)
    options_parser.add_argument("--folder", type=Path, help="where to save (default: a temporary folder)")
    options = options_parser.parse_args()
    pick_device("cpu", options.threads)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        modes = {}
        for name, state in (("search", search_state()), ("augment", augment_state())):
            directory = StateDirectory(Path(folder) / name, "benchmark")
            modes[name] = saving(directory, state)
        times = alternate(modes, 5 if options.quick else options.rounds)
        sizes = {name: (Path(folder) / name / "current.state").stat().st_size / 2**20 for name in modes}
    table = rows("save", times, "search")
    for row in table:
        row |= {"megabytes": sizes[row["mode"]], "overhead": row["median_ms"] / 1e3 / INTERVAL}
        del row["ratio"]
    finish(table, max(row["overhead"] for row in table), "save", options)


if __name__ == "__main__":
    main()
