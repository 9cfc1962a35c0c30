"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from enas_core.arc import OPS, Arc


def _different(values: tuple[int, ...]) -> tuple[int, ...]:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is there twice")
    return values


# Of a magnitude that single precision holds; YAML reads 1e-4 as a string.
Float = Annotated[float, Field(strict=False, allow_inf_nan=False, ge=-1e38, le=1e38)]
Probability = Annotated[Float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Filters = Annotated[int, Field(ge=2, le=10_000, multiple_of=2)]
Nodes = Annotated[int, Field(ge=1, le=16)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]  # a column of the tables
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Precision = Literal["fp32", "bf16"]
Compile = Literal["auto", "off"]
Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1), AfterValidator(_different)]
OpValues = Annotated[tuple[Float, ...], Field(strict=False, min_length=len(OPS), max_length=len(OPS))]

RESERVED_NETWORKS = re.compile(r"^(searched-s\d+|random-\d+)$")


DatasetName = Literal["cifar10", "cifar100", "digits"]


class DatasetFacts(NamedTuple):
    """What is known of a dataset before it is read: images are `size` x `size` pixels."""

    train_images: int
    test_images: int
    size: int
    channels: int
    classes: int


DATASETS = {
    "cifar10": DatasetFacts(50_000, 10_000, 32, 3, 10),
    "cifar100": DatasetFacts(50_000, 10_000, 32, 3, 100),
    "digits": DatasetFacts(1_797, 0, 8, 1, 10),
}


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Source(Settings):
    """Which images are used, and how they are divided."""

    name: DatasetName
    """Which images."""
    source: Literal["torchvision", "parquet", "digits"]
    """Where they come from: torchvision's original files (downloaded, or found under `data_path`),
    Parquet files in the Hugging Face layout under `data_path`, or scikit-learn's built-in digits."""
    max_train_images: Annotated[int, Field(ge=1)] | None = None
    """Use only the first so many training images; null: all."""
    max_test_images: Annotated[int, Field(ge=1)] | None = None
    """Use only the first so many test images; null: all."""
    split_test_images: Count | None = None
    """For a dataset without a test part (digits): so many images, drawn at random, become it."""
    split_seed: Seed = 0
    """Seed of that draw."""

    @model_validator(mode="after")
    def _check(self) -> Source:
        facts = DATASETS[self.name]
        if (self.name == "digits") != (self.source == "digits"):
            raise ValueError(f"source: {self.source!r} does not provide {self.name!r}")
        if (facts.test_images == 0) != (self.split_test_images is not None):
            need = "needs" if facts.test_images == 0 else "has its own test images and takes no"
            raise ValueError(f"split_test_images: {self.name} {need} split_test_images")
        if self.split_test_images and self.split_test_images >= facts.train_images:
            raise ValueError(f"split_test_images: {self.split_test_images} is out of range 1..{facts.train_images - 1}")
        return self

    @property
    def num_train(self) -> int:
        """Number of training images."""
        available = DATASETS[self.name].train_images - (self.split_test_images or 0)
        return min(available, self.max_train_images or available)


class Augmentation(Settings):
    """Random changes to training images, on the normalised image (so zero is the mean colour)."""

    crop_padding: Annotated[int, Field(ge=0, le=1024)] = 4
    """Zero padding around the image before a random crop of the original size, pixels; 0: no crop."""
    flip: bool = True
    """Flip left-right with probability 1/2."""
    cutout: Annotated[int, Field(ge=0, le=1024)] = 0
    """Side of the square set to zero around a random centre, pixels; 0: none."""


class Dataset(Source):
    """The images of an experiment and how training changes them."""

    augmentation: Augmentation = Augmentation()


class Training(Settings):
    """What search and augment have in common: network size, optimiser and regularisation."""

    num_epochs: Count
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2)]
    """Images a step."""
    num_layers: Count
    """Normal cells in the network; two reduction cells come on top."""
    num_filters: Filters
    """Channels of the first cells' nodes; each reduction cell doubles them."""
    aux_head: bool = True
    """Second classifier behind the second reduction cell, used in training only."""
    aux_weight: Annotated[Float, Field(ge=0)] = 0.4
    """Weight of the auxiliary head's cross-entropy in the loss."""
    keep_prob: Probability
    """Probability of keeping a channel before the classifier (1: no dropout)."""
    drop_path_keep_prob: Probability = 0.6
    """Probability of keeping an operation's output in the last layer at the end of training; it falls
    linearly from 1 with depth and with time (1: no drop path)."""
    l2: Annotated[Float, Field(ge=0)]
    """Coefficient of sum(w^2) in the loss, over every weight that is trained, batch norm included."""
    lr_max: Annotated[Float, Field(gt=0)] = 0.05
    """Learning rate at the start of each cosine period."""
    lr_min: Annotated[Float, Field(ge=0)]
    """Learning rate towards which each period falls."""
    lr_t_0: Count = 10
    """Length of the first cosine period, epochs."""
    lr_t_mul: Count = 2
    """Each period is so many times longer than the one before."""
    momentum: Annotated[Float, Field(ge=0, lt=1)] = 0.9
    """Nesterov momentum of SGD."""
    train_aux_head: bool = False
    """Whether the auxiliary head's own weights are trained. The original leaves them at their random
    start (its optimiser is not given them) and still sends their gradient into the trunk. Training
    them is what a deep-supervision head is for."""
    clip_norm: Annotated[Float, Field(gt=0)] | None = None
    """Largest global norm of the gradient; null: no clipping. The original computes gradients clipped
    at 5.0 and then applies the unclipped ones; 5.0 is what its flag asks for."""
    restart_first_step_mean: bool = True
    """Whether the first step of each warm restart gets (lr_max + lr_min) / 2. In the original one
    step is taken before the restart's counters are consistent; SGDR has no such step."""
    init_fan_in: Literal["tensorflow", "exact"] = "tensorflow"
    """Fan-in of the He-normal initialisation. `tensorflow`: as the original's tensor shapes imply,
    k*k*C for a depthwise convolution and the number of rows (2..7) for the packed weights of the
    supernet, whose standard deviations become 0.5..1. `exact`: the number of inputs that each output
    really sums over."""
    sync_batch_norm: bool = True
    """Of a training on several GPUs: whether batch norm's statistics are those of the whole batch, so that results
    do not depend on the number of GPUs, or (false, faster) of each GPU's part of it."""

    @model_validator(mode="after")
    def _check(self) -> Training:
        if self.lr_min > self.lr_max:
            raise ValueError(f"lr_min: {self.lr_min} is above lr_max = {self.lr_max}")
        return self


class Controller(Settings):
    """The LSTM policy that samples arcs, and its REINFORCE training."""

    hidden_size: Count = 64
    """Units of the LSTM."""
    learning_rate: Annotated[Float, Field(gt=0)] = 0.0035
    """Adam's learning rate."""
    adam_beta1: Annotated[Float, Field(ge=0, lt=1)] = 0.0
    """Adam's decay of the first moment."""
    adam_beta2: Annotated[Float, Field(ge=0, lt=1)] = 0.999
    """Adam's decay of the second moment."""
    adam_epsilon: Annotated[Float, Field(gt=0)] = 1e-3
    """Adam's epsilon."""
    adam_epsilon_placement: Literal["tensorflow", "standard"] = "tensorflow"
    """`tensorflow`: epsilon is added to the root of the biased second moment, as the original's
    library does, which makes early steps up to 30 times smaller. `standard`: added after the bias
    correction (Kingma & Ba 2015, algorithm 1)."""
    tanh_constant: Annotated[Float, Field(gt=0)] = 1.10
    """Logits are tanh_constant * tanh(.), which bounds how sure the policy can be."""
    op_tanh_reduce: Annotated[Float, Field(gt=0)] = 2.5
    """The constant is divided by this for operations."""
    op_bias_init: OpValues = (10.0, 10.0, 0.0, 0.0, 0.0)
    """Initial bias of each operation's logit, inside the tanh. The original starts the separable
    convolutions at 10, where the tanh is saturated and its gradient exactly 0: their logits stay at
    +0.44 for ever. 0 lets all of them learn."""
    normal_op_prior: OpValues = (0.25, 0.25, -0.25, -0.25, -0.25)
    """Constant added to the operations' logits in the normal cell, outside the tanh."""
    entropy_weight: Annotated[Float, Field(ge=0)] = 1e-4
    """Weight of the arc's entropy (nats over all decisions) in the reward; it gets no gradient."""
    baseline_decay: Annotated[Float, Field(ge=0, lt=1)] = 0.99
    """Decay of the moving average of rewards that serves as baseline; it starts at 0."""
    advantage_baseline: Literal["updated", "previous"] = "updated"
    """The advantage is reward minus this baseline. `updated`: the original has already mixed the
    present reward in, which scales every advantage by baseline_decay. `previous`: independent of the
    present reward, as REINFORCE asks."""
    updates_per_epoch: Annotated[int, Field(ge=0, le=1_000_000)] = 30
    """Controller updates after each epoch of the supernet."""
    arcs_per_update: Count = 10
    """Sampled arcs whose gradients each update averages."""


class Search(Training):
    """Training of the supernet and the controller in turn."""

    num_epochs: Count = 150
    batch_size: Annotated[int, Field(ge=2)] = 160
    num_layers: Count = 6
    num_filters: Filters = 20
    keep_prob: Probability = 0.9
    l2: Annotated[Float, Field(ge=0)] = 1e-4
    lr_min: Annotated[Float, Field(ge=0)] = 0.0005
    policy: Literal["controller", "random"] = "controller"
    """What samples arcs. `controller`: the LSTM policy. `random`: every valid index and operation equally
    likely, and no controller is trained (random search with weight sharing, Li & Talwalkar 2019); what is
    called the controller's candidates are then the uniformly sampled ones."""
    valid_images: Count = 5_000
    """The last so many training images are held out for rewards, selection and validation."""
    apply_drop_path: bool = False
    """Whether drop path acts in the search. The original reads its flag and never applies it."""
    reduction_inputs: Literal["previous", "both"] = "previous"
    """What a reduction layer of the supernet reads. `previous`: both inputs are made from the previous
    layer's output, as in the original, so that the search never sees the wiring that is retrained.
    `both`: from the two previous layers, as in the retrained network."""
    reward_dropout: bool = True
    """Whether dropout acts when arcs are scored during the search (rewards and the epochs' validation
    and test accuracies). The original scores with its training graph; without dropout the same arc is
    scored with less noise. Selection is always without."""
    controller: Controller = Controller()


class Augment(Training):
    """Training of one arc from scratch, deeper and wider."""

    num_epochs: Count = 630
    batch_size: Annotated[int, Field(ge=2)] = 144
    num_layers: Count = 15
    num_filters: Filters = 36
    keep_prob: Probability = 0.8
    l2: Annotated[Float, Field(ge=0)] = 2e-4
    lr_min: Annotated[Float, Field(ge=0)] = 0.0001
    bn_zero_debias: bool = True
    """Whether the moving statistics of batch norm ignore their initial 0 and 1 (the original), which
    matters in the first hundred steps only; false: the ordinary moving average of torch."""


class SearchSection(Search):
    """`search` in config.yaml."""

    seeds: Seeds = (1,)
    """One independent search for each."""


class AugmentSection(Augment):
    """`augment` in config.yaml."""

    seeds: Seeds = (1,)
    """Each network is trained once for each."""


class Select(Settings):
    """Choice of one arc after the search."""

    num_candidates: Count = 100
    """Distinct arcs that are sampled from the controller and scored on the validation images."""


class RandomArcs(Settings):
    """Where random arcs come from; arc i depends on these values and i alone."""

    sampler: Literal["uniform", "reference"] = "uniform"
    """`uniform`: every valid index and operation equally likely. `reference`: the generator of Yang et
    al. 2020, in which every node of an arc reads the same two cell inputs."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1_000_000)] = 0
    """Arc i uses seed + i."""


class Baseline(RandomArcs):
    """Random arcs, augmented in the same way as the found one."""

    num_arcs: Annotated[int, Field(ge=0, le=1_000_000)] = 8
    """How many."""


class Transfer(Settings):
    """An arc that another experiment has found."""

    source: Name = Field(alias="from")
    """Name of that experiment."""


def _kind_of_arc(value: Any) -> str | None:
    """Which model of `ArcSource` describes `value`."""
    return "[text]" if isinstance(value, str) else "[transfer]" if isinstance(value, dict | Transfer) else None


ArcSource = Annotated[
    Annotated[str, Tag("[text]")] | Annotated[Transfer, Tag("[transfer]")],
    Discriminator(_kind_of_arc, "arc_source", "allowed is an arc in quotes or {from: EXPERIMENT}"),
]


class Experiment(Settings):
    """One named entry of config.yaml."""

    preset: Literal["original", "corrected"] = "original"
    """`original`: the authors' program as it is. `corrected`: each of its surprises as it should be."""
    num_nodes: Nodes = 5
    """Nodes of a cell."""
    cpu_threads: Threads = 2
    """Threads of each training on a CPU. A setting, since results on a CPU depend on it."""
    precision: Precision = "fp32"
    """Of feature maps and convolutions. `bf16`: bfloat16, for GPUs; weights, statistics of batch norm, logits, loss
    and optimiser stay in float32."""
    compile: Compile = "auto"
    """`auto`: on a GPU, networks are compiled (minutes at the start, faster steps, results equal but for rounding);
    on a CPU, where that does not pay, never. `off`: never."""
    dataset: Dataset
    search: SearchSection = SearchSection()
    select: Select = Select()
    augment: AugmentSection = AugmentSection()
    baseline: Baseline = Baseline()
    arcs: dict[Name, ArcSource] = {}
    """Further networks to augment: an arc in its integer form, or `{from: EXPERIMENT}`."""

    @model_validator(mode="after")
    def _check(self) -> Experiment:
        data, size = self.dataset, DATASETS[self.dataset.name].size
        if self.search.valid_images >= data.num_train:
            raise ValueError(
                f"search.valid_images: {self.search.valid_images} is out of range 1..{data.num_train - 1}"
                f" ({data.num_train} training images)"
            )
        check_training("search", self.search, data.num_train - self.search.valid_images, size)
        check_training("augment", self.augment, data.num_train, size)
        if data.augmentation.cutout > size:
            raise ValueError(f"dataset.augmentation.cutout: {data.augmentation.cutout} is out of range 0..{size}")
        if self.baseline.sampler == "reference" and self.num_nodes != 5:
            raise ValueError(f"baseline.sampler: 'reference' makes arcs of 5 nodes, num_nodes is {self.num_nodes}")
        for name, value in self.arcs.items():
            self._check_arc(name, value)
        return self

    def _check_arc(self, name: str, value: str | Transfer) -> None:
        if RESERVED_NETWORKS.match(name):
            raise ValueError(f"arcs.{name}: names like searched-s1 and random-00 are taken by the workflow")
        if isinstance(value, str):
            try:
                Arc.parse(value, num_nodes=self.num_nodes)
            except ValueError as error:
                raise ValueError(f"arcs.{name}: {error}") from None


def check_training(section: str, training: Training, images: int, size: int) -> None:
    """Raise ValueError unless a training of `section` can use so many images of `size` x `size` pixels."""
    if training.batch_size > images:
        raise ValueError(
            f"{section}.batch_size: {training.batch_size} is out of range 2..{images} ({images} training images)"
        )
    if training.aux_head and size // 4 < 5:
        raise ValueError(
            f"{section}.aux_head: true needs images of at least 20x20, these have {size}x{size}; allowed: false"
        )


PRESETS: dict[str, dict[str, Any]] = {
    "original": {},
    "corrected": {
        "search": {
            "train_aux_head": True,
            "clip_norm": 5.0,
            "restart_first_step_mean": False,
            "init_fan_in": "exact",
            "apply_drop_path": True,
            "reduction_inputs": "both",
            "reward_dropout": False,
            "controller": {
                "op_bias_init": [0.0] * len(OPS),
                "adam_epsilon_placement": "standard",
                "advantage_baseline": "previous",
            },
        },
        "augment": {
            "train_aux_head": True,
            "clip_norm": 5.0,
            "restart_first_step_mean": False,
            "init_fan_in": "exact",
            "bn_zero_debias": False,
        },
    },
}
"""What a preset puts on top of the defaults. `original` is the defaults themselves."""


# --- one stage's settings -----------------------------------------------------------------------


class PrepareDataSettings(Settings):
    """What prepare_data depends on."""

    experiment: Name
    dataset: Source


class RandomArcsSettings(Settings):
    """What random_arcs depends on (how many is not part of it: more arcs leave the first ones alone)."""

    experiment: Name
    num_nodes: Nodes
    random_arcs: RandomArcs


class SearchSettings(Settings):
    """What search depends on."""

    experiment: Name
    dataset: DatasetName
    num_nodes: Nodes
    cpu_threads: Threads
    precision: Precision
    compile: Compile
    augmentation: Augmentation
    search: Search


class SelectArcSettings(SearchSettings):
    """What select_arc depends on."""

    select: Select


class AugmentSettings(Settings):
    """What augment depends on."""

    experiment: Name
    dataset: DatasetName
    num_nodes: Nodes
    cpu_threads: Threads
    precision: Precision
    compile: Compile
    augmentation: Augmentation
    augment: Augment


STAGES: dict[str, type[Settings]] = {
    "prepare_data": PrepareDataSettings,
    "random_arcs": RandomArcsSettings,
    "search": SearchSettings,
    "select_arc": SelectArcSettings,
    "augment": AugmentSettings,
}


def _narrow(model: type[Settings], value: Settings) -> Settings:
    """The fields of `model` (a base of `value`'s type) taken from `value`."""
    return model(**{name: getattr(value, name) for name in model.model_fields})


def stage_settings(name: str, experiment: Experiment, stage: str) -> Settings:
    """The settings of one stage of the experiment called `name`."""
    values: dict[str, Any] = {
        "experiment": name,
        "num_nodes": experiment.num_nodes,
        "cpu_threads": experiment.cpu_threads,
        "precision": experiment.precision,
        "compile": experiment.compile,
        "dataset": experiment.dataset.name,
        "augmentation": experiment.dataset.augmentation,
        "search": _narrow(Search, experiment.search),
        "select": experiment.select,
        "augment": _narrow(Augment, experiment.augment),
        "random_arcs": _narrow(RandomArcs, experiment.baseline),
    }
    if stage == "prepare_data":
        values["dataset"] = _narrow(Source, experiment.dataset)
    model = STAGES[stage]
    return model(**{field: values[field] for field in model.model_fields})


def to_json(settings: Settings) -> str:
    """Canonical text of `settings`: equal settings give equal text."""
    return json.dumps(settings.model_dump(mode="json", by_alias=True), sort_keys=True, indent=1) + "\n"


def fingerprint(settings: Settings) -> str:
    """sha256 of the canonical text."""
    return hashlib.sha256(to_json(settings).encode()).hexdigest()


S = TypeVar("S", bound=Settings)


def load_stage_settings(path: Path, model: type[S]) -> S:
    """Read `config/{stage}.json`. Raises ValueError, one line, when it is not such a file."""
    try:
        return model.model_validate_json(path.read_text())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file") from None
    except ValidationError as error:
        raise ValueError(_explain(str(path), model, error)) from None


def from_options(model: type[S], values: dict[str, Any]) -> S:
    """Settings from command-line options. Raises ValueError, one line that names the option, on a mistake."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option, message = str(first["loc"][0]).replace("_", "-"), first["msg"].replace("Input should be", "allowed is")
        raise ValueError(f"--{option}: {first['input']}: {message}") from None


# --- config.yaml --------------------------------------------------------------------------------


class Workflow(Settings):
    """The whole of config.yaml, with what may be given on the command line (`--config KEY=VALUE`)."""

    experiments: dict[Name, Experiment] = Field(min_length=1)
    """Experiments by name."""
    data_path: str | None = None
    """Folder of existing data files (a location, so no result depends on it); null: download."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: the GPU if there is one."""
    save_every: Annotated[Float, Field(gt=0)] = 5.0
    """Minutes between two saves of the training state."""
    tensorboard: Annotated[bool, Field(strict=False)] = False  # the command line gives it as text
    """Whether running trainings write TensorBoard event files (`tensorboard --logdir results`)."""

    @model_validator(mode="after")
    def _check_transfers(self) -> Workflow:
        for name, experiment in self.experiments.items():
            for arc_name, arc in experiment.arcs.items():
                if isinstance(arc, Transfer):
                    self._check_transfer(f"experiments.{name}.arcs.{arc_name}.from", name, arc.source)
        return self

    def _check_transfer(self, key: str, name: str, source: str) -> None:
        others = sorted(set(self.experiments) - {name})
        if source not in others:
            raise ValueError(f"{key}: {source!r} is not another experiment; allowed: {', '.join(others) or 'none'}")
        if self.experiments[source].num_nodes != self.experiments[name].num_nodes:
            raise ValueError(f"{key}: arcs of {source!r} have another num_nodes than {name!r}")
        if name in self._sources(source):
            raise ValueError(f"{key}: {source!r} itself takes an arc from {name!r}, so neither could come first")

    def _sources(self, name: str) -> set[str]:
        """All experiments that `name` takes arcs from, directly or not."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            experiment = self.experiments.get(waiting.pop())
            arcs = experiment.arcs.values() if experiment else ()
            new = {arc.source for arc in arcs if isinstance(arc, Transfer)} - found
            found |= new
            waiting += new
        return found


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` overridden by `top`, section by section (a null section overrides nothing)."""
    result = dict(base)
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        elif not (value is None and isinstance(result.get(key), dict)):
            result[key] = value
    return result


def _inherited(experiments: dict[str, Any], name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """The raw entry of `name` on top of those that it extends."""
    raw = experiments[name]
    if not isinstance(raw, dict):
        raise ValueError(f"experiments.{name}: {raw!r} is not a mapping of settings")
    if "extends" not in raw:
        return raw
    own, parent = {key: value for key, value in raw.items() if key != "extends"}, raw["extends"]
    if not isinstance(parent, str) or parent not in experiments or parent in (*seen, name):
        allowed = sorted(str(other) for other in experiments if other not in (*seen, name))
        raise ValueError(
            f"experiments.{name}.extends: {parent!r} is not another experiment; allowed: {', '.join(allowed) or 'none'}"
        )
    return _merged(_inherited(experiments, parent, (*seen, name)), own)


def parse_workflow(raw: Any, where: str = "config.yaml") -> Workflow:
    """Validate the content of config.yaml. Raises ValueError, one line, on the user's mistakes."""
    if not isinstance(raw, dict) or not isinstance(raw.get("experiments"), dict):
        raise ValueError(f"{where}: experiments: missing or not a mapping of names to settings")
    try:
        merged = {str(name): _inherited(raw["experiments"], name) for name in raw["experiments"]}
    except ValueError as error:
        raise ValueError(_one_line(f"{where}: {error}")) from None
    except RecursionError:
        raise ValueError(f"{where}: a section contains itself") from None
    for name, experiment in merged.items():
        preset = experiment.get("preset", "original")
        if isinstance(preset, str) and preset in PRESETS:
            merged[name] = _merged(PRESETS[preset], experiment)
    try:
        return Workflow.model_validate({**raw, "experiments": merged})
    except ValidationError as error:
        raise ValueError(_explain(where, Workflow, error)) from None


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which plain YAML takes the last."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"{twice[0]!r} is there twice in what begins in line {node.start_mark.line + 1}")
        return node


def read_yaml(path: Path) -> Any:
    """Content of config.yaml, not validated. Raises ValueError, one line, when it is not such a file."""
    try:
        return _Loader(path.read_text()).get_single_data()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(_one_line(f"{path}: not valid YAML: {error}")) from None


def load_workflow(path: Path) -> Workflow:
    """Read and validate config.yaml. Raises ValueError, one line, on the user's mistakes."""
    return parse_workflow(read_yaml(path), str(path))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _explain(where: str, model: type[BaseModel], error: ValidationError) -> str:
    """One line for the first mistake: file, key, value, what is allowed."""
    mistakes = error.errors(include_url=False)
    # an unknown key comes first: misspelt, it may be the one that is missing
    first = min(mistakes, key=lambda mistake: mistake["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"] if part not in ("[key]", "[text]", "[transfer]"))
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    if first["type"] == "extra_forbidden":
        problem = f": unknown key; allowed: {', '.join(_model_at(model, first['loc'][:-1]))}"
    elif first["type"] == "missing":
        problem = ": missing"
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"])
        problem = f".{message}" if key and re.match(r"[\w.-]+: ", message) else f": {message}"
    else:
        shown = repr(first["input"])
        message = first["msg"].replace("Input should be", "allowed is")
        problem = f": {shown if len(shown) <= 80 else shown[:77] + '...'}: {message}"
    return _one_line((f"{where}: {key}" if key else where) + problem + more)


def _model_at(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """The allowed keys at `location` of `model`."""
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(part)].annotation if part in model.model_fields else model
        elif part == "[transfer]":
            model = Transfer
        else:
            model = get_args(model)[-1] if get_args(model) else model
    fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
    extra = ["extends"] if model is Experiment else []
    return [field.alias or name for name, field in fields.items()] + extra


# --- printing -----------------------------------------------------------------------------------


def describe(settings: Settings, prefix: str = "") -> list[str]:
    """Lines `key = value  # meaning` for every setting below `prefix`."""
    lines = []
    for name, field in type(settings).model_fields.items():
        value, key = getattr(settings, name), f"{prefix}{field.alias or name}"
        if isinstance(value, Settings):
            lines += ["", *describe(value, f"{key}.")]
            continue
        if isinstance(value, dict):
            value = {k: v.source if isinstance(v, Transfer) else v for k, v in value.items()}
        meaning = " ".join((field.description or _inherited_description(type(settings), name)).split())
        lines.append(f"{key} = {json.dumps(value)}  # {meaning}")
    return lines


def _inherited_description(model: type[Settings], name: str) -> str:
    """A field's docstring, from the first base that has one."""
    bases = (base for base in model.__mro__ if issubclass(base, BaseModel) and name in base.model_fields)
    return next(
        (base.model_fields[name].description or "" for base in bases if base.model_fields[name].description), ""
    )


def _write_resolved(path: Path, text: str) -> int:
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        print(f"error: {path}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m enas_core.config", description="Validate config.yaml and print the resolved settings."
    )
    parser.add_argument("--configfile", type=Path, default=Path("config.yaml"), help="file to read (%(default)s)")
    parser.add_argument("--experiment", help="print only this experiment")
    parser.add_argument("--resolved", help="text of one stage's settings to write to --out (used by the workflow)")
    parser.add_argument("--out", type=Path, help="where to write --resolved")
    options = parser.parse_args(arguments)
    if (options.resolved is None) != (options.out is None):
        parser.error("--resolved and --out go together")
    if options.resolved is not None:
        return _write_resolved(options.out, options.resolved)
    try:
        experiments = load_workflow(options.configfile).experiments
        if options.experiment is not None and options.experiment not in experiments:
            raise ValueError(
                f"{options.configfile}: experiments: {options.experiment!r} is not there;"
                f" allowed: {', '.join(experiments)}"
            )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, experiment in experiments.items():
        if options.experiment in (None, name):
            print("\n".join([f"# {name}", *describe(experiment), ""]))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader such as `head` has seen enough
    sys.exit(main())
