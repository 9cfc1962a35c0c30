"""Recorded training steps, taken with the step that search and augment take.

Only double precision can be followed through three steps: the golden weights put gradients on kinks of
ReLU and max pooling, where single precision is off by a percent whoever computes it. Single-precision runs are
compared up to the first step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from check_networks import build_network, build_supernet, tensor
from fill import fill_network, fill_supernet
from formulas import images, labels
from golden import Case, Comparison, absolute, read_json, read_npz, relative
from torch import Tensor

from enas_core.settings.augment import Augment
from enas_core.settings.search import Search
from enas_core.settings.training import Training
from enas_core.spaces.layers import BatchNorm
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.training.run import TrainingRun

GRADIENT_TOLERANCE = {"float64": 1e-9, "float32": 5e-2}
FORWARD_TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def training_cases() -> Iterator[Case]:
    data, arrays = read_json("train_steps"), read_npz("train_steps")
    arcs = {name: MicroArc.from_integers(values) for name, values in data.get("arcs", {}).items()}
    for name, run in data.get("runs", {}).items():
        expected = {key.rsplit("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{name}/")}
        yield Case(f"train_steps/{name}", partial(check_run, name, data["settings"], arcs, run, expected))


class Run(TrainingRun):
    """The steps of one golden run."""

    def __init__(self, network: MicroNetwork | MicroSupernet, training: Training, arcs: list[MicroArc]) -> None:
        self.arcs = arcs
        super().__init__(network, training, training.batch_size * len(arcs), seed=0)

    def arc_of(self, step: int) -> MicroArc:
        return self.arcs[step]

    def outputs(self, x: Tensor, arc: MicroArc) -> tuple[Tensor, Tensor | None]:
        return self.network(x, arc) if isinstance(self.network, MicroSupernet) else self.network(x)

    @torch.no_grad()
    def remember_gradient(self) -> None:
        """The gradient by parameter, the L2 term taken out of it again."""
        trained = {name: p for name, p in self.network.named_parameters() if not name.startswith("aux_head.")}
        self.gradients = {name: p.grad - 2 * self.sgd.l2 * p for name, p in trained.items()}

    def step_at(self, step: int, rate: float, x: Tensor, y: Tensor) -> Tensor | None:
        """Step number `step` at learning rate `rate`; returns the auxiliary logits from before it."""
        self.training = self.training.model_copy(update={"lr_max": rate, "lr_min": 0.0})
        outputs = self.outputs(x, self.arcs[step])
        self.descend(step, outputs, y)
        return outputs[1]


def start_run(
    settings: dict[str, Any], run: dict[str, Any], arcs: list[MicroArc], classes: int, full: bool, dtype: str
) -> Run:
    fixed = run["network"] == "fixed"
    build = partial(build_network, arcs[0]) if fixed else partial(build_supernet, arcs[0].num_nodes)
    network = build(settings["num_layers"], settings["out_filters"], classes, run["aux"])
    (fill_network if fixed else fill_supernet)(network, full)
    training = (Augment if fixed else Search)(
        num_epochs=1,
        batch_size=settings["batch"],
        keep_prob=settings["keep_prob"],
        l2=run["l2_reg"],
        lr_max=settings["lr"],
        momentum=float(np.float32(settings["momentum"])),  # the program casts its constants, the rate too
        aux_head=run["aux"],
        aux_weight=settings["aux_weight"],
    )
    return Run(network.to(getattr(torch, dtype)), training, arcs)


def check_run(
    name: str, settings: dict[str, Any], arcs: dict[str, MicroArc], run: dict[str, Any], expected: dict[str, np.ndarray]
) -> Iterator[Comparison]:
    _, variant, dtype = name.split("/")
    logits = expected.get("train_logits_after3_arc0")
    classes = 10 if logits is None else logits.shape[1]
    golden = start_run(settings, run, [arcs[arc] for arc in run["arcs"]], classes, variant == "full", dtype)
    x, y = tensor(images(settings["batch"]), dtype), torch.from_numpy(labels(settings["batch"], classes))
    start = golden.sgd.values.detach().clone()
    aux_start = aux_values(golden)
    watch = golden.sgd.optimizer.register_step_pre_hook(lambda *_: golden.remember_gradient())
    for step, facts in enumerate(run["steps"] if dtype == "float64" else run["steps"][:1]):
        yield from check_step(golden, step, facts, x, y, dtype)
        if step == 0:
            watch.remove()
            yield from check_gradient(golden, run, dtype)
    yield Comparison("training, change of auxiliary weights", absolute(aux_values(golden), aux_start), 0)
    if dtype == "float64":
        yield from check_end(golden, run, expected, x, y, start)


def aux_values(golden: Run) -> Tensor:
    head = golden.network.aux_head
    return torch.cat([p.detach().flatten() for p in head.parameters()]) if head is not None else torch.zeros(1)


def check_gradient(golden: Run, run: dict[str, Any], dtype: str) -> Iterator[Comparison]:
    """Norms of the first gradient without the L2 term, in all and by groups of weights."""
    norms = {
        f"{name}.{kind}"
        for name, module in golden.network.named_modules()
        if isinstance(module, BatchNorm)
        for kind in ("weight", "bias")
    }
    squares = dict.fromkeys(("bn_scale_offset", "fc_w", "stem_conv_w", "other_w"), 0.0)
    for name, gradient in golden.gradients.items():
        group = "bn_scale_offset" if name in norms else {"fc.weight": "fc_w", "stem.0.weight": "stem_conv_w"}.get(name)
        squares[group or "other_w"] += float(gradient.square().sum())
    found = {group: math.sqrt(square) for group, square in squares.items()}
    label, tolerance = f"training, gradient without L2, {dtype}", GRADIENT_TOLERANCE[dtype]
    if "data_grad_norm" in run:
        yield Comparison(label, relative(math.sqrt(sum(squares.values())), run["data_grad_norm"]), tolerance)
    for group, norm in run.get("data_grad_norm_by_group", {}).items():
        yield Comparison(label, relative(found[group], norm), tolerance)


def check_step(golden: Run, step: int, facts: dict[str, Any], x: Tensor, y: Tensor, dtype: str) -> Iterator[Comparison]:
    sum_w2 = float(golden.sgd.values.detach().square().sum())
    aux_logits = golden.step_at(step, facts["lr"], x, y)
    cross_entropy, grad_norm, hits = golden.log.values[:, step].tolist()
    aux = 0.0 if aux_logits is None else float(F.cross_entropy(aux_logits.detach(), y))
    total = cross_entropy + golden.training.aux_weight * aux + golden.training.l2 * sum_w2
    found = {"ce": cross_entropy, "aux_ce": aux, "sum_w2": sum_w2, "total_loss": total}
    for key, value in found.items():
        if facts.get(key) is not None:
            yield Comparison(f"training, {key}, {dtype}", relative(value, facts[key]), FORWARD_TOLERANCE[dtype])
    error = relative(grad_norm, facts["grad_norm_incl_l2"])
    yield Comparison(f"training, gradient norm, {dtype}", error, GRADIENT_TOLERANCE[dtype])
    if "train_correct" in facts:
        yield Comparison(f"training, correct predictions, {dtype}", absolute(hits, facts["train_correct"]), 0)


@torch.no_grad()
def check_end(
    golden: Run, run: dict[str, Any], expected: dict[str, np.ndarray], x: Tensor, y: Tensor, start: Tensor
) -> Iterator[Comparison]:
    values, net = golden.sgd.values, golden.network
    found = {
        "sum_w2_after": values.square().sum(),
        "displacement_norm_after3": torch.linalg.vector_norm(values - start),
    }
    if "eval_logits_after3_zerodebias" in expected:
        logits = net.eval()(x)
        error = relative(logits.numpy(), expected["eval_logits_after3_zerodebias"])
        yield Comparison("training, evaluation logits after the steps", error, 1e-6)
    net.train()
    logits, aux_logits = golden.outputs(x, golden.arcs[0])
    found["ce_after3_arc0"] = F.cross_entropy(logits, y)
    if aux_logits is not None:
        found["aux_ce_after3_arc0"] = F.cross_entropy(aux_logits, y)
    for key, value in found.items():
        if run.get(key) is not None:
            yield Comparison(f"training, {key}", relative(float(value), run[key]), 1e-9)
    if "train_logits_after3_arc0" in expected:
        error = relative(logits.numpy(), expected["train_logits_after3_arc0"])
        yield Comparison("training, logits after the steps", error, 1e-9)
