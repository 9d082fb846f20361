"""Which modules of a network are its layers: by default, by pattern, and which axis has the neurons."""

import pytest
import torch
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.loading import registry
from dna_pipelines.extraction.loading.registry import load_extractor, with_layers
from dna_pipelines.extraction.probing.layer_choice import default_taps
from dna_pipelines.extraction.probing.probe import probe, probe_layers
from dna_pipelines.imaging import Preprocessing
from dna_pipelines_tests.raising import raises


class Stage(nn.Module):
    def __init__(self, width_in, width, depth):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(width_in, width, 2, 2), nn.BatchNorm2d(width))
        self.blocks = nn.Sequential(*(Cell(width) for _ in range(depth)))

    def forward(self, x):
        return self.blocks(self.down(x)).relu()


class Cell(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x):
        return x + self.convs(x)


class Staged(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 3, 1)) for _ in range(2)])
        self.body = nn.ModuleList([Stage(3, 4, 2), Stage(4, 6, 1)])
        self.norm, self.unused = nn.BatchNorm2d(6), nn.BatchNorm2d(6)

    def forward(self, x):
        for embedding in self.embeddings:
            x = embedding(x)
        for stage in self.body:
            x = stage(x)
        return self.norm(x).mean((2, 3))


def staged(taps=("norm",)):
    torch.manual_seed(0)
    return Network("n", Staged().eval(), Preprocessing(16), taps, "d", "c", "none", "")


def test_blocks_are_the_elements_of_stages_and_not_what_is_inside_them():
    assert default_taps(Staged(), 16, "n") == ("body.0.blocks.0", "body.0.blocks.1", "body.1.blocks.0", "norm")


def test_a_network_without_lists_is_refused_with_what_can_be_tapped():
    plain = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 7, 3))
    taps = default_taps(plain, 16, "n")
    bare = Network("n", plain, Preprocessing(16), taps, "d", "c", "none", "")
    with raises(ExtractorError, "network.no-layers", network="n", usable=["0", "1", "2"]):
        probe(bare, batch_size=2)
    assert probe(with_layers(bare, ("2",)), batch_size=2).layers.names == ["2"]


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (("norm", "body.0.blocks.1"), ("body.0.blocks.1", "norm")),
        (("body.*",), ("body.0", "body.1")),
        (("body.*.blocks.*",), ("body.0.blocks.0", "body.0.blocks.1", "body.1.blocks.0")),
        (("body.1.**",), None),
        (("body.[0]", "body.0"), ("body.0",)),
    ],
)
def test_layers_are_chosen_by_name_or_pattern_in_the_networks_order(patterns, chosen):
    found = with_layers(staged(), patterns).taps
    if chosen is None:
        chosen = tuple(name for name, _ in Staged().named_modules() if name.startswith("body.1."))
    assert found == chosen


class Mixed(nn.Module):
    """Layers, and what can be none: a list that never runs, a part that runs twice, one that gives no tensor."""

    class Pair(nn.Module):
        def forward(self, x):
            return {"x": x}

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)])
        self.act, self.pair, self.unused = nn.ReLU(), self.Pair(), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        for block in self.blocks:
            x = self.act(block(x))
        return self.pair(x)["x"]


def mixed():
    return Network("n", Mixed().eval(), Preprocessing(16), ("blocks.0",), "d", "c", "none", "")


def test_a_pattern_passes_over_what_cannot_be_a_layer_and_a_name_does_not():
    assert with_layers(mixed(), ("**",)).taps == ("blocks.0", "blocks.1")
    reasons = {"blocks": "not-run", "act": "repeated", "pair": "not-a-tensor", "unused": "not-run"}
    for name, reason in reasons.items():
        with raises(ExtractorError, "network.layer-unusable", network="n", layer=name, reason=reason):
            probe(with_layers(mixed(), (name,)), batch_size=2)
    usable = ["blocks.0", "blocks.1"]
    with raises(ExtractorError, "network.layer-unusable", network="n", layer="p*", usable=usable):
        with_layers(mixed(), ("p*", "blocks.0"))


@pytest.mark.parametrize(
    ("pattern", "closest"),
    [("body.0.block.1", "body.0.blocks.1"), ("zzz*", None)],
)
def test_a_pattern_of_nothing_is_refused_with_the_closest_modules(pattern, closest):
    with raises(ExtractorError, "network.layer-unknown", network="n", layer=pattern) as caught:
        with_layers(staged(), (pattern,))
    facts = caught.value.facts
    assert next(iter(facts["close"]), None) == closest
    assert facts["modules"][:2] == ["body", "body.0"]


def test_a_module_that_cannot_be_tapped_is_refused_with_those_that_can():
    with raises(ExtractorError, "network.layer-unusable", layer="unused", reason="not-run") as caught:
        probe(staged(("norm", "unused")), batch_size=2)
    assert {"body.0", "body.0.blocks"} <= set(caught.value.facts["usable"])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        blocks = (nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True, norm_first=True) for _ in range(2))
        self.blocks, self.norm = nn.ModuleList(blocks), nn.LayerNorm(8)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def test_default_layers_are_the_blocks_and_the_norm_after_the_last(monkeypatch, tmp_path):
    torch.manual_seed(0)
    bare = Network("n", Transformer(), Preprocessing(16), (), "d", "c", "none", "")
    monkeypatch.setitem(registry._FACTORIES, "bare", lambda: bare)
    assert load_extractor("bare", batch_size=2, root=tmp_path).layers.names == ["blocks.0", "blocks.1", "norm"]


class Fixed(nn.Module):
    """Images of one size only, and outputs of a shape of one's own."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        if x.shape[-1] != 16:
            raise ValueError("16 pixels only")
        return self.part(x)


class Reshape(nn.Module):
    def __init__(self, shape, width=None):
        super().__init__()
        self.shape = shape
        if width:
            self.linear = nn.Linear(1, width)

    def forward(self, x):
        return x.flatten(1)[:, : torch.Size(self.shape).numel()].reshape(len(x), *self.shape)


@pytest.mark.parametrize(
    ("shape", "width", "axis"),
    [
        ((7, 9), None, 2),  # tokens: the last
        ((7, 9), 7, 1),  # as long as the module is wide
        ((5, 4, 4), None, 1),  # a square map: the edge that differs
        ((4, 4, 5), None, 3),
        ((4, 5, 6), 6, 3),
        ((4, 4, 4), None, None),
        ((4, 5, 6), None, None),
        ((2, 2, 2, 2), None, None),
    ],
)
def test_the_axis_of_a_network_of_one_size_follows_from_widths_and_squares_or_is_refused(shape, width, axis):
    module = Fixed(Reshape(shape, width))
    network = Network("n", module, Preprocessing(16), ("part",), "d", "c", "none", "")
    if axis is None:
        reason = "batch-axis" if len(shape) > 3 else "neuron-axis"
        with raises(ExtractorError, "network.layer-unusable", layer="part", reason=reason, shape=[2, *shape]):
            probe_layers(network)
    else:
        assert probe_layers(network).axes == (axis,)
