"""What search and augment share: device, optimiser, one training step, evaluation."""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import platform
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from enas_core import schedule
from enas_core.arc import Arc
from enas_core.checkpoint import Saver
from enas_core.cli import RunError, log, time_left
from enas_core.config import AugmentSettings, Search, SearchSettings, Training, check_training
from enas_core.data import Dataset, Split, equal_batches, load, plain_batch
from enas_core.events import EventFiles
from enas_core.network import Network
from enas_core.ops import BatchNorm, Classifier, FactorizedReduction, ReLUConvBN, SepConv
from enas_core.parallel import ALONE, Processes, join, place
from enas_core.supernet import Supernet

ALIGNMENT = 16  # values: parameters start at multiples of 64 bytes
CHECK_EVERY = 50  # steps between looks for divergence, each of which waits for the device

MALLOC_PARAMETERS = {
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 64 * 2**20),
}
"""Numbers from malloc.h and values: no separate mappings, never shrink, grow by 64 MiB."""


def pick_device(name: str, cpu_threads: int) -> torch.device:
    """`auto`, `cpu` or `cuda`, made ready: of several GPUs the one of this process. Raises ValueError for a CUDA
    device that is not there."""
    torch.set_num_threads(cpu_threads)
    _keep_freed_memory()
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: no CUDA device is there; allowed here: auto, cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # torchrun numbers its processes
    return torch.device("cuda")


@contextmanager
def placed(module: str, options: argparse.Namespace, cpu_threads: int) -> Iterator[tuple[torch.device, Processes]]:
    """The device, and the processes, on which the options `--device` and `--gpus` let stage `module` compute."""
    claims = place(module, options)
    device = pick_device(options.device, cpu_threads)
    with join(device) as processes:
        yield device, processes
    for claim in claims:
        claim.close()


def load_for(
    settings: SearchSettings | AugmentSettings, training: Training, folder: Path, device: torch.device
) -> Dataset:
    """Prepared images for `training`. Raises ValueError, one line, when they are not what the settings count on."""
    data = load(folder, device)
    if data.manifest.dataset != settings.dataset:
        raise ValueError(f"{folder}: holds {data.manifest.dataset!r}, the settings are for {settings.dataset!r}")
    held_out = training.valid_images if isinstance(training, Search) else 0
    if held_out >= len(data.train):
        raise ValueError(f"{folder}: search.valid_images: {held_out}, but there are {len(data.train)} training images")
    try:
        check_training("search" if held_out else "augment", training, len(data.train) - held_out, data.image_size)
    except ValueError as error:
        raise ValueError(f"{folder} does not fit the settings: {error}") from None
    return data


def _keep_freed_memory() -> None:
    """Let glibc reuse the memory of freed tensors instead of returning it to the system, which would hand out each
    page again, zeroed, in the next step. Other C libraries stay as they are."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for parameter, value in MALLOC_PARAMETERS.values():
            libc.mallopt(parameter, value)


def describe_device(device: torch.device, processes: Processes = ALONE) -> str:
    """For provenance, e.g. `cpu (2 threads)` or `4 x cuda (NVIDIA H100)`."""
    times = f"{processes.count} x " if processes.count > 1 else ""
    if device.type == "cuda":
        return f"{times}cuda ({torch.cuda.get_device_name(device)})"
    return f"{times}cpu ({torch.get_num_threads()} threads)"


def build_supernet(settings: SearchSettings, data: Dataset) -> Supernet:
    """The supernet of these settings, its weights not initialised."""
    search = settings.search
    return Supernet(
        num_nodes=settings.num_nodes,
        num_layers=search.num_layers,
        num_filters=search.num_filters,
        image_size=data.image_size,
        in_channels=data.in_channels,
        num_classes=data.num_classes,
        aux_head=search.aux_head,
        reduction_inputs=search.reduction_inputs,
    )


COMPILED_BLOCKS = (SepConv, ReLUConvBN, FactorizedReduction)
"""What is compiled of a supernet: a few kinds of block in a few shapes, whatever the arc."""

RECOMPILE_LIMIT = 64  # shapes and modes of one kind of block


def accelerate(
    network: Network | Supernet,
    settings: SearchSettings | AugmentSettings,
    device: torch.device,
    processes: Processes = ALONE,
) -> None:
    """Make `network`, which is on `device`, compute as `precision` and `compile` say. What cannot be compiled, for
    want of a compiler or otherwise, runs uncompiled after a warning; so does a training of several processes, which
    exchange statistics inside the network."""
    if settings.precision == "bf16":
        lower_precision(network, device)
    if settings.compile == "auto" and device.type == "cuda" and processes.count == 1:
        torch._dynamo.config.suppress_errors = True
        if isinstance(network, Supernet):
            compile_blocks(network)
        else:
            compile_whole(network, mode="reduce-overhead")


def lower_precision(network: Network | Supernet, device: torch.device) -> None:
    """Feature maps and convolutions in bfloat16, logits in the precision of the weights."""
    network.forward = torch.autocast(device.type, torch.bfloat16)(network.forward)
    for module in network.modules():
        if isinstance(module, Classifier):
            module.forward = torch.autocast(device.type, enabled=False)(module.forward)


def compile_blocks(supernet: Supernet, **options: Any) -> None:
    """Compile the supernet's operations one by one (`options` of `torch.compile`). Those of one kind and shape share
    their code, which takes batches of any size, so that no arc compiles anything once all shapes have been seen."""
    torch._dynamo.config.cache_size_limit = RECOMPILE_LIMIT
    torch._dynamo.config.automatic_dynamic_shapes = False
    for module in supernet.modules():
        if isinstance(module, COMPILED_BLOCKS):
            module.forward = _any_batch(torch.compile(module.forward, **options))


def _any_batch(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def call(x: Tensor) -> Tensor:
        torch._dynamo.maybe_mark_dynamic(x, 0)
        return forward(x)

    return call


def compile_whole(network: Network, **options: Any) -> None:
    """Compile a stand-alone network as a whole (`options` of `torch.compile`), once for each size of batch."""
    torch._dynamo.config.cache_size_limit = RECOMPILE_LIMIT
    network.forward = torch.compile(network.forward, dynamic=False, **options)


def trained_parameters(network: Network | Supernet, training: Training) -> list[nn.Parameter]:
    """The parameters that the optimiser and the L2 term see."""
    frozen = set()
    if network.aux_head is not None and not training.train_aux_head:
        frozen = set(network.aux_head.parameters())
    return [p for p in network.parameters() if p not in frozen]


class FlatSGD:
    """SGD with Nesterov momentum over one flat tensor, of which the parameters are views, as their
    gradients are of another. So weights that a child does not use have zero gradients rather than none:
    they decay and keep their momentum, as in the original, at the cost of three passes over memory."""

    def __init__(self, parameters: Sequence[nn.Parameter], training: Training) -> None:
        sizes = [-(-p.numel() // ALIGNMENT) * ALIGNMENT for p in parameters]
        self.values = nn.Parameter(parameters[0].new_zeros(sum(sizes)))
        self.values.grad = torch.zeros_like(self.values)
        self.l2, self.clip_norm = training.l2, training.clip_norm
        for p, value, grad in zip(
            parameters, self.values.data.split(sizes), self.values.grad.split(sizes), strict=True
        ):
            value[: p.numel()].copy_(p.data.flatten())
            p.data = value[: p.numel()].view(p.shape)
            p.grad = grad[: p.numel()].view(p.shape)
        self.optimizer = torch.optim.SGD(
            [self.values], lr=training.lr_max, momentum=training.momentum, nesterov=training.momentum > 0, fused=True
        )

    @torch.no_grad()
    def step(self, learning_rate: float) -> Tensor:
        """Apply the accumulated gradient plus that of l2 * sum(w^2), and zero it. Returns the global norm
        before clipping, on the device."""
        gradient = self.values.grad
        gradient.add_(self.values, alpha=2 * self.l2)
        norm = torch.linalg.vector_norm(gradient)
        if self.clip_norm is not None:
            gradient.mul_((self.clip_norm / norm).clamp(max=1.0))
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()
        gradient.zero_()
        return norm

    def state_dict(self) -> dict[str, Tensor]:
        """Values and momentum."""
        momentum = self.optimizer.state[self.values].get("momentum_buffer")
        return {"values": self.values.data} | ({} if momentum is None else {"momentum": momentum})

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self.values.copy_(state["values"])
        if "momentum" in state:
            self.optimizer.state[self.values]["momentum_buffer"] = state["momentum"].to(self.values.device)


def spread(network: Network | Supernet, training: Training, images: int, processes: Processes) -> nn.Module:
    """`network` as several processes train it: statistics and gradients are those of all. Just `network` for one.
    Raises ValueError where a process would have no image to take statistics of."""
    if processes.count == 1:
        return network
    smallest = images % training.batch_size or training.batch_size
    if not training.sync_batch_norm and smallest < processes.count:
        raise ValueError(
            f"sync_batch_norm: false needs an image of each batch for each of {processes.count} processes, the"
            f" smallest batch has {smallest} ({images} images by batch_size {training.batch_size}); allowed: true"
        )
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.processes, module.synced = processes, training.sync_batch_norm
    # Of a supernet each step uses other parameters; the same ones in all processes.
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch 2.6 lacks the option's new name
        return DistributedDataParallel(
            network, broadcast_buffers=False, find_unused_parameters=isinstance(network, Supernet)
        )


def untrained_state(network: nn.Module, sgd: FlatSGD) -> dict[str, Tensor]:
    """The part of the network's state that is not in the optimiser's flat tensor."""
    storage = sgd.values.untyped_storage().data_ptr()
    state = network.state_dict()
    return {name: t for name, t in state.items() if t.untyped_storage().data_ptr() != storage}


def factors(
    network: Network | Supernet,
    count: int,
    seed: int,
    keep_prob: float,
    drop_path_keep_probs: Sequence[float] | None = None,
    part: slice = slice(None),
) -> tuple[Tensor | None, Tensor | None]:
    """Factors for drop path and dropout (see `Network.forward`) of `count` images, drawn from `seed`: 0, or
    1 / keep probability. `drop_path_keep_probs`: one a layer. Of all images only those of `part` are returned. None
    where nothing is dropped."""
    if keep_prob == 1 and drop_path_keep_probs is None:
        return None, None
    device = network.fc.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    layers = len(drop_path_keep_probs or ())
    paths = layers * network.num_nodes * 2
    noise = torch.rand(count, paths + network.num_features, generator=generator, device=device)[part]
    drop_path, dropout = None, None
    if drop_path_keep_probs is not None:
        pinned = torch.tensor(drop_path_keep_probs, pin_memory=device.type == "cuda")  # so that nothing waits for it
        keep = pinned.to(device, non_blocking=True)[:, None, None]
        drop_path = torch.floor(noise[:, :paths].view(len(noise), layers, network.num_nodes, 2) + keep) / keep
    if keep_prob < 1:
        dropout = torch.floor(noise[:, paths:] + keep_prob) / keep_prob
    return drop_path, dropout


class StepLog:
    """Cross-entropy, gradient norm and hits of each step, kept on the device: nothing waits for the device until
    `check` or `totals`."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self.values = torch.zeros(3, steps, dtype=torch.float64, device=device)

    def record(self, step: int, cross_entropy: Tensor, grad_norm: Tensor, hits: Tensor) -> None:
        """`cross_entropy` is the batch's mean; `hits` its number of correct predictions."""
        self.values[:, step] = torch.stack([cross_entropy.detach().double(), grad_norm.double(), hits.double()])

    def first_divergence(self, steps: int) -> int | None:
        """The first of `steps` steps with a loss or gradient that is not finite, if any."""
        bad = (~self.values[:2, :steps].isfinite()).any(0).nonzero()
        return int(bad[0]) if len(bad) else None

    def totals(self, batch_sizes: Sequence[int]) -> tuple[float, float]:
        """Mean cross-entropy and accuracy over all images."""
        sizes = torch.tensor(batch_sizes, dtype=torch.float64, device=self.values.device)
        images = sizes.sum()
        return float((self.values[0] * sizes).sum() / images), float(self.values[2].sum() / images)


class TrainingRun(ABC):
    """What search and augment keep while they run: network and optimiser, the position (epoch, and step in
    it), the seconds spent in this epoch, the table's rows, and the log of this epoch's training steps."""

    name: str

    def __init__(
        self,
        network: Network | Supernet,
        training: Training,
        images: int,
        seed: int,
        events: EventFiles | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.network, self.training, self.images, self.seed = network, training, images, seed
        self.events, self.processes = events, processes
        if network.aux_head is not None:
            network.aux_head.requires_grad_(training.train_aux_head)
        self.sgd = FlatSGD(trained_parameters(network, training), training)
        self.parallel = spread(network, training, images, processes)
        self.steps = schedule.steps_per_epoch(images, training.batch_size)
        self.log = StepLog(self.steps, self.sgd.values.device)
        self.rows: list[dict[str, Any]] = []
        self.epoch, self.step, self.seconds = 0, 0, 0.0
        self._clock = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes. Raises RunError instead when a step has diverged."""
        self.check()
        return {
            "sgd": self.sgd.state_dict(),
            "untrained": untrained_state(self.network, self.sgd),
            "log": self.log.values,
            "rows": self.rows,
            "position": [self.epoch, self.step, self.seconds],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.sgd.load_state_dict(state["sgd"])
        self.network.load_state_dict(state["untrained"], strict=False)
        self.log.values.copy_(state["log"])
        self.rows = state["rows"]
        self.epoch, self.step, self.seconds = state["position"]
        log.info("%s goes on at epoch %d, step %d", self.name, self.epoch, self.step)

    def batch_of(self, step: int) -> tuple[slice, slice]:
        """This process's part of the batch of step `step`: as positions in the epoch, and in the batch."""
        start, batch = step * self.training.batch_size, self.batch_size(step)
        first, last = self.processes.part(0, batch)
        return slice(start + first, start + last), slice(first, last)

    def batch_size(self, step: int) -> int:
        """Images of step `step`, in all processes."""
        return min(self.training.batch_size, self.images - step * self.training.batch_size)

    def descend(self, step: int, outputs: tuple[Tensor, Tensor | None], labels: Tensor) -> None:
        """Gradient step number `step` of the epoch, recorded on the device. `outputs` and `labels`: of this process's
        part of the batch."""
        share = len(labels) / self.batch_size(step)
        cross_entropy, loss = loss_of(outputs, labels, self.training)
        # Over the processes, gradients are averaged.
        (loss * (share * self.processes.count)).backward()
        norm = self.sgd.step(schedule.learning_rate(self.training, self.epoch, step))
        sums = torch.stack([cross_entropy.detach().double() * share, hits(outputs[0], labels).double()])
        cross_entropy, correct = self.processes.sum(sums)
        self.log.record(step, cross_entropy, norm, correct)

    def drop_path_keep_probs(self, step: int) -> list[float]:
        """Keep probability of each layer at step `step` of this epoch."""
        total = self.training.num_epochs * self.steps
        return schedule.drop_path_keep_probs(self.training, self.epoch * self.steps + step, total)

    def advance(self, saver: Saver) -> None:
        """One step is done: count it and its time, look for divergence now and then, save if it is due."""
        self.step += 1
        self.tick()
        if self.step % CHECK_EVERY == 0:
            self.check()
        saver.step()

    def tick(self) -> None:
        """Count the time since the last tick."""
        now = time.perf_counter()
        self.seconds, self._clock = self.seconds + now - self._clock, now

    def check(self) -> None:
        """Raise RunError when a training step of this epoch has diverged. Waits for the device."""
        done = min(self.step, self.steps)
        step = self.log.first_divergence(done)
        if step is not None:
            self._diverged("loss or gradient", step)
        if done and not self._finite():
            self._diverged("weights", done - 1)

    def _finite(self) -> bool:
        """Whether weights, momentum and moving statistics are. Finite gradients may still make them overflow."""
        tensors = [*self.sgd.state_dict().values(), *untrained_state(self.network, self.sgd).values()]
        return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())

    def _diverged(self, what: str, step: int) -> NoReturn:
        rate = schedule.learning_rate(self.training, self.epoch, step)
        raise RunError(
            f"{self.name} diverged: {what} not finite at epoch {self.epoch}, step {step}, learning rate {rate:.6g},"
            f" arc {self.arc_of(step)}; the last good state is kept"
        )

    @abstractmethod
    def arc_of(self, step: int) -> Arc:
        """The arc that step `step` of this epoch trains."""

    def epoch_means(self) -> tuple[float, float]:
        """Cross-entropy and accuracy over the epoch's training images."""
        return self.log.totals([self.batch_size(step) for step in range(self.steps)])

    def finish_epoch(self, row: dict[str, Any], score: str) -> None:
        """Add the epoch's row, report it with the column `score`, and move on to the next epoch."""
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                self._diverged(f"{name} is", self.steps - 1)
        self.rows.append(row)
        if self.events is not None:
            self.events.show(self.rows)
        self.log.values.zero_()
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        total = self.training.num_epochs
        log.info(
            f"{self.name}  epoch {self.epoch}/{total}  loss {row['train_loss']:.4f}  train {row['train_accuracy']:.4f}"
            f"  {score.split('_')[0]} {row[score]:.4f}  {row['images_per_second']:.0f} images/s"
            f"  {row['seconds']:.1f} s  left {time_left(self.epoch, total, sum(r['seconds'] for r in self.rows))}"
        )


def loss_of(outputs: tuple[Tensor, Tensor | None], labels: Tensor, training: Training) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the main classifier, and the loss to minimise (without its L2 term); 0 without images."""
    logits, aux_logits = outputs
    cross_entropy = mean_cross_entropy(logits, labels)
    if aux_logits is None:
        return cross_entropy, cross_entropy
    return cross_entropy, cross_entropy + training.aux_weight * mean_cross_entropy(aux_logits, labels)


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the images; 0 without images."""
    return F.cross_entropy(logits, labels, reduction="sum") / max(len(labels), 1)


def hits(logits: Tensor, labels: Tensor) -> Tensor:
    """Number of correct predictions, on the device."""
    return (logits.argmax(1) == labels).sum()


@torch.inference_mode()
def evaluate_network(
    network: Network, split: Split, batch_size: int, after_batch: Callable[[], None], processes: Processes = ALONE
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over a split, with moving statistics; each process has its part of the
    batches."""
    network.eval()
    batches = equal_batches(len(split), batch_size)
    sums = torch.zeros(len(batches), 2, dtype=torch.float64, device=split.labels.device)
    for k in processes.deal(len(batches)):
        if k is not None:
            images, labels = plain_batch(split, batches[k])
            logits = network(images)
            sums[k] = torch.stack([F.cross_entropy(logits, labels, reduction="sum"), hits(logits, labels)])
        after_batch()
    network.train()
    loss, correct = (processes.sum(sums).sum(0) / len(split)).tolist()
    return loss, correct


@torch.inference_mode()
def child_accuracy(
    supernet: Supernet, arc: Arc, images: Tensor, labels: Tensor, dropout: Tensor | None = None
) -> Tensor:
    """Accuracy of the child `arc` on one batch, with batch statistics, on the device."""
    supernet.eval()
    accuracy = hits(supernet(images, arc, dropout=dropout), labels) / len(labels)
    supernet.train()
    return accuracy
