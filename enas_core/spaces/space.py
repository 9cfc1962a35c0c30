"""The interface of a search space: everything that the rest of the project needs to know of its arcs and networks.

A space is a folder beside this file (`micro/` is the only one) and a line in `spaces.SPACES`. What a policy proposes
and a mutation changes are its `decisions`; everything else goes through an arc's text form or through an arc object
that only the space looks into.

Shapes: B images in a batch, C channels, S pixels a side, K classes, L layers, P droppable paths a layer, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

from enas_core import fields
from enas_core.console import UserError, shown
from enas_core.files.reading import read_text

if TYPE_CHECKING:
    from enas_core.spaces.networks import Network, Supernet


AUX_POOL, AUX_STRIDE = 5, 3
"""Kernel and stride of the pooling with which the auxiliary head begins (`layers.AuxHead`)."""

StemName = Literal["plain", "strided"]
"""What comes before the first layer: one convolution, or three of which each halves the map (`layers.StridedStem`)."""


def pooled_by_aux_head(size: int) -> int:
    """Side of what the auxiliary head's pooling makes of a map; of a map smaller than its kernel it takes the mean."""
    return (size - min(AUX_POOL, size)) // AUX_STRIDE + 1


MOST_TEXT = 2**16
"""Bytes of the longest text of an arc."""


class Arc(ABC):
    """An architecture: immutable, hashable, and equal to another of the same text form."""

    @abstractmethod
    def __str__(self) -> str:
        """The text form, which `SearchSpace.parse` reads."""


class Decision(NamedTuple):
    """One of the choices that make an arc: which of `choices` alternatives, counted from 0."""

    name: str
    choices: int


LARGEST = {"num_layers": 1000, "num_filters": 10_000, "image_size": 10_000, "in_channels": 100, "num_classes": 100_000}
"""The largest of each size of a network: what a file asks for is refused before it is built."""


@dataclass(frozen=True)
class NetworkShape:
    """What both kinds of network need to know besides the arc: the images they take and their own size. Raises
    ValueError unless all sizes are within `LARGEST`."""

    num_layers: int
    num_filters: int
    image_size: int
    in_channels: int
    num_classes: int
    aux_head: bool
    stem: StemName = "plain"

    def __post_init__(self) -> None:
        for name, most in LARGEST.items():
            size = getattr(self, name)
            if type(size) is not int or not 1 <= size <= most:
                raise ValueError(f"{name}: {shown(size)} is out of range 1..{most}")
        if type(self.aux_head) is not bool:
            raise ValueError(f"aux_head: {shown(self.aux_head)} is neither true nor false")
        if self.stem not in get_args(StemName):
            raise ValueError(f"stem: {shown(self.stem)} is none of {', '.join(get_args(StemName))}")

    @property
    def smallest_row(self) -> int:
        """Values of a row of the smallest feature map, all channels together. Halving a map doubles its channels, so it
        is the stem that decides."""
        size = self.image_size if self.stem == "plain" else -(-self.image_size // 8)
        return self.num_filters * size


class Size(NamedTuple):
    """Trainable values without the auxiliary head, those of the head (0: there is none), and multiply-accumulates for
    one image without the head."""

    params: int
    aux_params: int
    macs: int


def uniform_choices(decisions: Sequence[Decision], seed: int) -> list[int]:
    """One choice a decision, all equally likely, drawn in the order of the decisions."""
    import numpy as np  # which commands that draw nothing need not wait for

    generator = np.random.Generator(np.random.PCG64(seed))
    return [int(generator.integers(decision.choices)) for decision in decisions]


class SearchSpace(ABC):
    """A search space with its settings, which are plain values: two spaces with equal settings are equal.

    Building one never imports torch; building networks does."""

    name: ClassVar[str]
    """What `space` in config.yaml says."""
    Settings: ClassVar[type[fields.Settings]]
    """The space's keys in an experiment, each in the section that its `Section` names."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """What a preset puts on top of the defaults of those keys, in the form of an experiment."""

    def __init__(self, settings: fields.Settings) -> None:
        self.settings = settings

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, SearchSpace) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash((self.name, self.settings))

    # --- arcs

    @property
    @abstractmethod
    def decisions(self) -> Sequence[Decision]:
        """The decisions that make an arc, in the order of its text form."""

    @abstractmethod
    def from_choices(self, choices: Sequence[int]) -> Arc:
        """The arc that so many choices, one a decision, make. Raises ValueError when one is out of range."""

    @abstractmethod
    def choices(self, arc: Arc) -> tuple[int, ...]:
        """The choices that make `arc`: the inverse of `from_choices`."""

    @abstractmethod
    def parse(self, text: str) -> Arc:
        """The arc of a text form. Raises UserError, one line that names the position, when it is not one."""

    @classmethod
    @abstractmethod
    def of_text(cls, text: str) -> tuple[SearchSpace, Arc]:
        """An arc and its space, whose other settings are at their defaults. Raises UserError as `parse` does."""

    def read(self, path: Path) -> Arc:
        """The arc in a text file. Raises UserError, naming the file, when it holds none of this space."""
        return _read(path, self.parse)

    @classmethod
    def read_any(cls, path: Path) -> tuple[SearchSpace, Arc]:
        """The arc in a text file, and its space as `of_text` gives it. Raises UserError as `read` does."""
        return _read(path, cls.of_text)

    def arcs_of(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> list[Arc]:
        """The arcs of a table's rows. Raises UserError, naming the file, where one is of another space."""
        try:
            for row in rows:
                if row["space"] != self.name:
                    raise UserError(f"an arc of the space {shown(row['space'])}, not of {self.name!r}")
            return [self.parse(row["arc"]) for row in rows]
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def uniform(self, seed: int) -> Arc:
        """A random arc, every choice equally likely. The same seed gives the same arc."""
        return self.from_choices(uniform_choices(self.decisions, seed))

    @property
    def samplers(self) -> Mapping[str, Callable[[int], Arc]]:
        """Ways to draw an arc at random from a seed, by the name that `baseline.sampler` says."""
        return {"uniform": self.uniform}

    def check_sampler(self, name: str) -> None:
        """Raise UserError, one line, unless the sampler called `name` can draw arcs of this space."""
        if name not in self.samplers:
            raise UserError(f"{name!r} is not in the space {self.name}; allowed: {', '.join(self.samplers)}")

    def baseline(self, sampler: str, seed: int, count: int) -> list[Arc]:
        """Random arcs 0..count-1. Arc i is drawn from seed + i, so that more arcs leave the first ones as they are."""
        draw = self.samplers[sampler]
        return [draw(seed + i) for i in range(count)]

    def forms(self, arc: Arc) -> Mapping[str, str]:
        """Further ways to write an arc, by name, for people and other programs."""
        return {}

    @abstractmethod
    def draw(self, arc: Arc, notes: Sequence[str] = ()) -> str:
        """An SVG picture of an arc, with the lines `notes` below it. Equal arcs and notes give equal text."""

    # --- networks

    @abstractmethod
    def supernet(self, shape: NetworkShape) -> Supernet:
        """The network that holds the shared weights of all arcs, its weights not initialised."""

    @abstractmethod
    def network(self, arc: Arc, shape: NetworkShape, bn_zero_debias: bool = False) -> Network:
        """The stand-alone network of one arc, not initialised. `bn_zero_debias` as in `settings.Augment`."""

    # --- which images the networks can be trained on; known without building them

    def smallest_image(self, shape: NetworkShape) -> int:
        """Side of the smallest images, pixels, with which both networks of `shape` can be built. All of `shape`
        counts but its own image size."""
        return 1

    @abstractmethod
    def smallest_map(self, shape: NetworkShape) -> int:
        """Side of the smallest feature map of either network over which batch norm takes statistics in training,
        pixels."""

    def smallest_batch(self, shape: NetworkShape) -> int:
        """Images that a training batch of one process needs: two where a map shrinks to one pixel, since of a single
        value there is no variance."""
        return 2 if self.smallest_map(shape) == 1 else 1

    def check_images(self, shape: NetworkShape, images: int, batch_size: int) -> None:
        """Raise UserError, one line that starts with the key of the section, unless networks of `shape` can be trained
        on so many images in batches of `batch_size`, of which an epoch's last one has what is left."""
        size = f"{shape.image_size}x{shape.image_size}"
        without_head = replace(shape, aux_head=False)
        if shape.image_size < (needed := self.smallest_image(without_head)):
            raise UserError(f"num_layers: any needs images of at least {needed}x{needed}, these have {size}")
        if shape.image_size < (needed := self.smallest_image(shape)):
            raise UserError(
                f"aux_head: true needs images of at least {needed}x{needed}, these have {size}; allowed: false"
            )
        last = images % batch_size or batch_size
        if last < self.smallest_batch(shape):
            head_alone = self.smallest_batch(without_head) == 1
            raise UserError(
                f"batch_size: {batch_size} leaves one of {images} training images for the last batch, and {size} pixels"
                f" shrink to one{' in the auxiliary head' if head_alone else ''}: batch norm needs more than one value;"
                f" allowed: another batch_size{' or aux_head: false' if head_alone else ''}"
            )


T = TypeVar("T")


def _read(path: Path, parse: Callable[[str], T]) -> T:
    """What `parse` makes of a text file, with the file's name in whatever is wrong with it."""
    try:
        text = read_text(path, MOST_TEXT)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None
    try:
        return parse(text)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
