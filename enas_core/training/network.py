"""Augment: train one arc from scratch in the deeper, wider stand-alone network."""

from __future__ import annotations

import argparse

import torch

from enas_core.console import progress
from enas_core.data.batches import plan_epoch, training_batch
from enas_core.data.prepared import Dataset
from enas_core.files.inputs import Inputs
from enas_core.files.tables import provenance, write_table
from enas_core.settings.stages import AugmentSettings, fingerprint, to_json
from enas_core.spaces.layers import initialise
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.networks import Network
from enas_core.spaces.saved import save_network
from enas_core.spaces.space import Arc, NetworkShape
from enas_core.training.checkpoint import Saver, StateDirectory, resume, run_fingerprint
from enas_core.training.compilation import accelerate
from enas_core.training.device import describe_device
from enas_core.training.evaluation import evaluate_network
from enas_core.training.events import EventFiles
from enas_core.training.processes import ALONE, Processes
from enas_core.training.randomness import factors, stream_seed
from enas_core.training.run import TrainingRun, load_for
from enas_core.training.schedule import learning_rate


class AugmentRun(TrainingRun):
    """One training of one arc."""

    def __init__(
        self,
        settings: AugmentSettings,
        data: Dataset,
        arc: Arc,
        network: str,
        seed: int,
        device: torch.device,
        events: EventFiles | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.settings, self.augment, self.data = settings, settings.augment, data
        self.network_name, self.name = network, f"{network} seed {seed}"
        shape = NetworkShape(
            num_layers=self.augment.num_layers,
            num_filters=self.augment.num_filters,
            image_size=data.image_size,
            in_channels=data.in_channels,
            num_classes=data.num_classes,
            aux_head=self.augment.aux_head,
        )
        self.network: Network = MicroNetwork(arc, shape, self.augment.bn_zero_debias)
        generator = torch.Generator().manual_seed(stream_seed(seed, "weights"))
        initialise(self.network, self.augment.init_fan_in, generator)
        accelerate(self.network.to(device), settings, device, processes)
        super().__init__(self.network, self.augment, len(data.train), seed, events, processes)

    def arc_of(self, step: int) -> Arc:
        """The same at every step."""
        return self.network.arc

    def train(self, saver: Saver) -> None:
        """All epochs that are left."""
        self.tick()
        while self.epoch < self.augment.num_epochs:
            self.train_epoch(saver)
            self.evaluate_epoch(saver)
            saver.save()

    def train_epoch(self, saver: Saver) -> None:
        """One pass over the training images."""
        augmentation, augment = self.settings.augmentation, self.augment
        plan = plan_epoch(self.data.train, augmentation, self.seed, self.epoch)
        steps = range(self.step, self.steps)
        for step in progress(steps, f"{self.name} epoch {self.epoch}", self.steps, self.step):
            positions, part = self.batch_of(step)
            images, labels = training_batch(self.data.train, plan, augmentation, positions.start, positions.stop)
            drop_path, dropout = factors(
                self.network,
                self.batch_size(step),
                stream_seed(self.seed, "noise", self.epoch, step),
                augment.keep_prob,
                self.drop_path_keep_probs(step) if augment.drop_path_keep_prob < 1 else None,
                part,
            )
            self.descend(step, self.parallel(images, drop_path, dropout), labels)
            self.advance(saver)
        self.check()

    def evaluate_epoch(self, saver: Saver) -> None:
        """Test the network and write the epoch's row."""
        loss, accuracy = self.epoch_means()
        train_seconds = self.seconds
        # What is saved after a batch starts with this evaluation.
        test_loss, test_accuracy = evaluate_network(
            self.network, self.data.test, self.augment.batch_size, saver.step, self.processes
        )
        self.tick()
        row = {
            "experiment": self.settings.experiment,
            "dataset": self.settings.dataset,
            "network": self.network_name,
            "arc": str(self.network.arc),
            "seed": self.seed,
            "epoch": self.epoch,
            "learning_rate": learning_rate(self.augment, self.epoch, 1),
            "drop_path_keep_prob": self.drop_path_keep_probs(self.steps - 1)[-1],
            "train_loss": loss,
            "train_accuracy": accuracy,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "images_per_second": self.images / train_seconds,
            "seconds": self.seconds,
        }
        self.finish_epoch(row, "test_accuracy")


def run_augment(
    options: argparse.Namespace,
    settings: AugmentSettings,
    arc: Arc,
    inputs: Inputs,
    device: torch.device,
    processes: Processes,
) -> None:
    """The training, from what is left of it to its files."""
    data = load_for(settings, settings.augment, options.data, device)
    identity = run_fingerprint(
        "augment", to_json(settings), data.fingerprint, str(arc), options.network, str(options.seed)
    )
    made_by = provenance(describe_device(device, processes), fingerprint(settings)) | {"run": identity}
    table, weights = options.out_dir / "epochs.parquet", options.out_dir / "model.pt"

    def emit(run: AugmentRun) -> None:
        facts = {
            "experiment": settings.experiment,
            "dataset": settings.dataset,
            "classes": data.manifest.classes,
            "mean": data.manifest.mean,
            "std": data.manifest.std,
            "test_accuracy": run.rows[-1]["test_accuracy"],
            "provenance": made_by,
        }
        save_network(weights, run.network, facts)
        write_table(table, "augment_epochs", run.rows, made_by)

    events = EventFiles(options.out_dir / "tensorboard") if options.tensorboard and processes.first else None
    resume(
        lambda: AugmentRun(settings, data, arc, options.network, options.seed, device, events, processes),
        StateDirectory(options.state_dir, identity, processes),
        options.save_every,
        inputs,
        weights,
        table,
        emit,
    )
