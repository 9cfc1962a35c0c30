"""What saving the state of a search or an augment run costs at the default interval. `overhead` is the share of
the time that goes into saving; the headline is the larger of the two (0.01 is one percent)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import models
import torch
from harness import alternate, finish, parser, rows

from enas_core.policies.controller import Controller
from enas_core.policies.reinforce import Reinforce
from enas_core.settings.workflow import Workflow
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.training.checkpoint import StateDirectory
from enas_core.training.device import pick_device
from enas_core.training.optimiser import FlatSGD, trained_parameters, untrained_state

INTERVAL = 60 * Workflow.model_fields["save_every"].default


def search_state() -> dict[str, object]:
    """What a search of the original's size saves, but for a few numbers a step."""
    net = models.fused(models.supernet())
    sgd = FlatSGD(trained_parameters(net, models.SEARCH), models.SEARCH)
    sgd.step(models.LEARNING_RATE)
    reinforce = Reinforce(Controller(models.SEARCH.controller, 5, torch.Generator()))
    return {"sgd": sgd.state_dict(), "untrained": untrained_state(net, sgd), "reinforce": reinforce.state_dict()}


def augment_state() -> dict[str, object]:
    """The same of an augment run."""
    net = models.fused(models.network(uniform_arc(0)))
    sgd = FlatSGD(trained_parameters(net, models.AUGMENT), models.AUGMENT)
    sgd.step(models.LEARNING_RATE)
    return {"sgd": sgd.state_dict(), "untrained": untrained_state(net, sgd)}


def main() -> None:
    options = parser(__doc__, rounds=20)
    options.add_argument("--folder", type=Path, help="where to save (default: a temporary folder)")
    options = options.parse_args()
    pick_device("cpu", options.threads)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        modes = {}
        for name, state in (("search", search_state()), ("augment", augment_state())):
            directory = StateDirectory(Path(folder) / name, "benchmark")
            modes[name] = lambda k, directory=directory, state=state: directory.save(state)
        times = alternate(modes, 5 if options.quick else options.rounds)
        sizes = {name: (Path(folder) / name / "current.state").stat().st_size / 2**20 for name in modes}
    table = rows("save", times, "search")
    for row in table:
        row |= {"megabytes": sizes[row["mode"]], "overhead": row["median_ms"] / 1e3 / INTERVAL}
        del row["ratio"]
    finish(table, max(row["overhead"] for row in table), "save", options)


if __name__ == "__main__":
    main()
