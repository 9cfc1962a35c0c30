"""From settings, images and saved state to the files of a finished training: what `search` and `augment` share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from enas_core.data.prepared import Dataset
from enas_core.files.inputs import Inputs
from enas_core.files.lock import only_writer
from enas_core.files.tables import provenance, write_table
from enas_core.settings.networks import NamedNetwork
from enas_core.settings.stages import AugmentStage, SearchStage, fingerprint, plain, to_json
from enas_core.spaces.measure import arc_size
from enas_core.spaces.saved import save_network, save_supernet
from enas_core.spaces.space import Arc
from enas_core.training.checkpoint import StateDirectory, resume, run_fingerprint
from enas_core.training.device import describe_device
from enas_core.training.events import EventFiles
from enas_core.training.images import load_images
from enas_core.training.network import NetworkTraining
from enas_core.training.processes import Processes
from enas_core.training.progress import train_with_signs_of_life
from enas_core.training.supernet import SupernetTraining

T = TypeVar("T", SupernetTraining, NetworkTraining)


@dataclass(frozen=True)
class Run:
    """What a training needs to know that does not change its results."""

    data: Path
    """Folder that prepare_data has written."""
    out_dir: Path
    state_dir: Path
    save_every: float
    """Minutes between two saves of the state."""
    tensorboard: bool
    """Whether event files are written into `out_dir`."""
    inputs: Inputs
    """Files that must be the same ones at the end."""
    device: torch.device
    processes: Processes
    data_on_device: str = "auto"
    """Where the images are; see `Workflow.data_on_device`."""

    def events(self) -> EventFiles | None:
        """TensorBoard's files of the first process."""
        return EventFiles(self.out_dir / "tensorboard") if self.tensorboard and self.processes.first else None

    def only_writer(self) -> AbstractContextManager[None]:
        """A second run into the same folder, whatever its states, is refused; of several processes the first one sees
        to it. See `files.lock.only_writer`."""
        return only_writer(self.out_dir / "epochs.parquet", wait=False) if self.processes.first else nullcontext()

    def made_by(self, settings: SearchStage | AugmentStage, identity: str) -> dict[str, Any]:
        """Provenance of the outputs."""
        device = describe_device(self.device, self.processes)
        return provenance(device, fingerprint(settings), plain(settings)) | {"run": identity}

    def finish(
        self, create: Callable[[], T], identity: str, weights: Path, table: Path, emit: Callable[[T], None]
    ) -> None:
        """Train what `create` makes, from its saved state where there is one, and let `emit` write the outputs."""
        states = StateDirectory(self.state_dir, identity, self.processes)
        train = partial(train_with_signs_of_life, states)
        with self.only_writer():
            resume(create, states, self.save_every, self.inputs, weights, table, emit, train)


def run_search(settings: SearchStage, seed: int, run: Run) -> None:
    """Train a supernet and its policy, from what is left of it to `supernet.pt` and `epochs.parquet`."""
    data = load_images(settings, run.data, run.device, run.data_on_device)
    identity = run_fingerprint("search", to_json(settings), data.manifest.fingerprint, str(seed))
    made_by = run.made_by(settings, identity)
    weights, table = run.out_dir / "supernet.pt", run.out_dir / "epochs.parquet"

    def emit(training: SupernetTraining) -> None:
        save_supernet(weights, training.supernet, training.policy.state_dict())
        write_table(table, "search_epochs", training.epochs.rows, made_by | {"operators": training.supernet.operators})

    def create() -> SupernetTraining:
        return SupernetTraining(settings, data, seed, run.device, run.events(), run.processes)

    run.finish(create, identity, weights, table, emit)


def run_augment(settings: AugmentStage, arc: Arc, network: NamedNetwork, seed: int, run: Run) -> None:
    """Train one arc from scratch, from what is left of it to `model.pt` and `epochs.parquet`."""
    data = load_images(settings, run.data, run.device, run.data_on_device)
    identity = run_fingerprint(
        "augment", to_json(settings), data.manifest.fingerprint, str(arc), network.name, str(seed)
    )
    made_by = run.made_by(settings, identity) | {"role": network.role, "search_seed": network.search_seed}
    if network.strategy is not None:
        made_by["strategy"] = network.strategy
    weights, table = run.out_dir / "model.pt", run.out_dir / "epochs.parquet"

    def emit(training: NetworkTraining) -> None:
        # The table says how large the network is, so that a comparison of thousands need not load and measure them.
        size = arc_size(settings.search_space, arc, training.network.shape)
        recorded = made_by | {"operators": training.network.operators, "params": size.params, "macs": size.macs}
        save_network(weights, training.network, _facts(settings, data, training) | {"provenance": recorded})
        write_table(table, "augment_epochs", training.epochs.rows, recorded)

    def create() -> NetworkTraining:
        return NetworkTraining(settings, data, arc, network.name, seed, run.device, run.events(), run.processes)

    run.finish(create, identity, weights, table, emit)


def _facts(settings: AugmentStage, data: Dataset, training: NetworkTraining) -> dict[str, object]:
    """What a network's file says besides its weights."""
    last = training.epochs.rows[-1]
    return {
        "experiment": settings.experiment,
        "dataset": settings.dataset,
        "classes": data.manifest.classes,
        "resize_to": data.manifest.stored_size or data.manifest.image_size,
        "mean": data.manifest.mean,
        "std": data.manifest.std,
        "test_accuracy": last["test_accuracy"],
        "confusion": None if training.confusion is None else training.confusion.tolist(),
        "valid_accuracy": last["valid_accuracy"],
    }
