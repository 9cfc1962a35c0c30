"""A toy space: a chain of `chain_length` links, each one of three operations; a network is its chain `num_layers` times
over, without auxiliary head. Shapes: B images, L = num_layers, P = chain_length."""

from torch import nn

from enas_core.console import UserError
from enas_core.fields import Count, Settings
from enas_core.spaces.layers import BatchNorm, Classifier, PlainStem, conv
from enas_core.spaces.networks import Network, Supernet
from enas_core.spaces.space import Arc, Decision, SearchSpace

OPS = (
    lambda channels, tracking: nn.Sequential(nn.ReLU(), conv(channels, channels, 3), BatchNorm(channels, tracking)),
    lambda channels, tracking: nn.AvgPool2d(3, 1, 1),
    lambda channels, tracking: nn.Identity(),
)


class ChainArc(tuple, Arc):
    def __str__(self):
        return " ".join(map(str, self))


class ChainSettings(Settings):
    chain_length: Count = 3
    """Links of a chain."""


class Chained:
    space, aux_head = "chain", None

    def build(self, shape, links, tracking):
        self.shape, self.depth, self.paths, self.num_features = shape, shape.num_layers, len(links), shape.num_filters
        self.stem = PlainStem(shape.in_channels, shape.num_filters, tracking)
        links = [[op(shape.num_filters, tracking) for op in ops] for _ in range(self.depth) for ops in links]
        self.links = nn.ModuleList(map(nn.ModuleList, links))
        self.fc = Classifier(shape.num_filters, shape.num_classes)

    def run(self, images, ops, drop_path, dropout):
        x = self.stem(images)
        for path, op in enumerate(ops):
            factors = 1 if drop_path is None else drop_path.flatten(1)[:, path, None, None, None]
            x = x + factors * op(x)
        return self.finish(x, None, dropout)


class ChainSupernet(Chained, Supernet):
    def __init__(self, shape, length):
        super().__init__()
        self.build(shape, [OPS] * length, tracking=False)

    def path(self, arc):
        return [link[op] for link, op in zip(self.links, arc * self.depth, strict=True)]

    def forward(self, images, arc, drop_path=None, dropout=None):
        return self.run(images, self.path(arc), drop_path, dropout)

    def path_parameters(self, arc):
        return sum(p.numel() for part in (self.stem, self.fc, *self.path(arc)) for p in part.parameters())


class ChainNetwork(Chained, Network):
    def __init__(self, arc, shape, bn_zero_debias):
        super().__init__(arc, shape, bn_zero_debias)
        self.build(shape, [[OPS[op]] for op in arc], tracking=True)
        self.follow_norms()

    def forward(self, images, drop_path=None, dropout=None):
        return self.run(images, [link[0] for link in self.links], drop_path, dropout)


class Chain(SearchSpace):
    name, Settings, presets = "chain", ChainSettings, {"original": {}, "corrected": {"chain_length": 2}}
    decisions = property(lambda self: [Decision(f"link {i}", len(OPS)) for i in range(self.settings.chain_length)])
    choices = staticmethod(tuple)
    smallest_map = staticmethod(lambda shape: shape.image_size)
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><text y="20">{} {}</text></svg>'
    draw = classmethod(lambda cls, arc, notes=(): cls.svg.format(arc, " ".join(notes)))

    def from_choices(self, choices):
        if len(choices) != self.settings.chain_length or not set(choices) <= {0, 1, 2}:
            raise ValueError(f"a chain is {self.settings.chain_length} numbers of 0..2, got {list(choices)}")
        return ChainArc(choices)

    def parse(self, text):
        try:
            return self.from_choices([int(word) for word in text.split()])
        except ValueError as error:
            raise UserError(str(error)) from None

    @classmethod
    def of_text(cls, text):
        space = cls(ChainSettings(chain_length=max(1, len(text.split()))))
        return space, space.parse(text)

    def supernet(self, shape):
        return ChainSupernet(shape, self.settings.chain_length)

    def network(self, arc, shape, bn_zero_debias=False):
        return ChainNetwork(arc, shape, bn_zero_debias)
