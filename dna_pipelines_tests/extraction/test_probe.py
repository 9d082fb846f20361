"""Probing: the axis of the neurons, and the networks that are refused."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from dna_pipelines.errors import ExtractorError, UnknownName
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.probing.probe import probe
from dna_pipelines.extraction.taps import neurons_second
from dna_pipelines.imaging import Preprocessing
from dna_pipelines_tests.raising import raises


def network(module, taps, size_px=8):
    return Network("n", module, Preprocessing(size_px), tuple(taps), "digest", "code", "none", "")


class ChannelsLast(nn.Module):
    """Like Swin: (batch, height, width, channels)."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 6, 3), nn.Identity()

    def forward(self, x):
        return self.out(self.conv(x).permute(0, 2, 3, 1))


class Tokens(nn.Module):
    """Like a vision transformer of one fixed size: (batch, tokens, width)."""

    def __init__(self):
        super().__init__()
        self.patch, self.out = nn.Linear(3 * 16, 10), nn.Identity()

    def forward(self, x):
        if x.shape[-1] != 8:
            raise ValueError("8 pixels only")
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        return self.out(self.patch(patches))


class Dual(nn.Module):
    """The module's output is a tuple, as attention blocks give."""

    def __init__(self):
        super().__init__()
        self.inner = self.Pair()

    class Pair(nn.Module):
        def forward(self, x):
            return x[:, :, ::2, ::2], "weights"

    def forward(self, x):
        return self.inner(x)[0]


@pytest.mark.parametrize(
    ("module", "taps", "widths", "positions"),
    [
        (nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 7, 3)), ["0", "2"], [5, 7], [36, 16]),
        (nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), ["2"], [5], [1]),
        (ChannelsLast(), ["out"], [6], [36]),
        (Tokens(), ["out"], [10], [4]),
        (Dual(), ["inner"], [3], [16]),
    ],
    ids=["conv", "vector", "channels last", "tokens", "tuple"],
)
def test_the_neuron_axis_is_found(module, taps, widths, positions):
    extractor = probe(network(module, taps), batch_size=4)
    assert [layer.n_neurons for layer in extractor.layers] == widths
    found = []
    extractor.taps.run(
        torch.rand(4, 3, 8, 8), lambda i, out: found.append(neurons_second(out, extractor.axes[i]).shape)
    )
    assert found == [(4, width, n) for width, n in zip(widths, positions, strict=True)]


def test_neurons_second_moves_values_and_not_only_shapes():
    maps = torch.rand(2, 5, 6, 4)
    assert torch.equal(neurons_second(maps, 3)[1, 2], maps[1, :, :, 2].flatten())
    assert torch.equal(neurons_second(maps, 1)[1, 2], maps[1, 2].flatten())
    tokens = torch.rand(2, 9, 4)
    assert torch.equal(neurons_second(tokens, 2)[1, 2], tokens[1, :, 2])


class BatchDependent(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Identity()

    def forward(self, x):
        return self.out(x - x.mean(0, keepdim=True))


class Random(BatchDependent):
    def forward(self, x):
        return self.out(x + torch.rand_like(x))


class Fills(BatchDependent):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return self.out(x).index_fill(1, torch.tensor([1]), self.value)


class Refuses(BatchDependent):
    """Whole batches alone: images are few while shapes are probed."""

    def forward(self, x):
        if len(x) > 3:
            raise SystemExit(3)
        return self.out(x)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(self.conv(x))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.spare = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(x)


class NotATensor(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = self.Inner()

    class Inner(nn.Module):
        def forward(self, x):
            return {"out": x}

    def forward(self, x):
        return self.inner(x)["out"]


class Spectrum(nn.Module):
    def forward(self, x):
        return torch.fft.rfft2(x)


class Magnitude(nn.Module):
    def forward(self, x):
        return x.abs()


@pytest.mark.parametrize(
    ("module", "taps", "code", "facts"),
    [
        (
            nn.Sequential(Spectrum(), Magnitude()),
            ["0"],
            "network.layer-unusable",
            {"layer": "0", "reason": "complex", "usable": ["1"]},
        ),
        (BatchDependent(), ["out"], "network.depends-on-batch", {"layers": ["out"], "batch_size": 4}),
        (BatchDependent(), [""], "network.depends-on-batch", {"layers": ["the network itself"]}),
        (Random(), ["out"], "network.random", {"layers": ["out"]}),
        (
            nn.Sequential(Fills(torch.nan), nn.ReLU()),
            ["0.out", "0", "1"],
            "network.not-finite",
            {"layers": ["0", "1"]},
        ),
        (nn.Sequential(Fills(torch.inf)), ["0"], "network.not-finite", {"layers": ["0"]}),
        (Refuses(), ["out"], "network.forward", {"n_images": 4, "error": "SystemExit", "file": __file__}),
        (Dual(), ["inner", "inner"], "network.layer-repeated", {"layers": ["inner"]}),
        (Twice(), ["conv"], "network.layer-unusable", {"layer": "conv", "reason": "repeated"}),
        (Unused(), ["spare"], "network.layer-unusable", {"layer": "spare", "reason": "not-run"}),
        (Unused(), ["head"], "network.layer-unknown", {"layer": "head", "modules": ["conv", "spare"]}),
        (NotATensor(), ["inner"], "network.layer-unusable", {"layer": "inner", "reason": "not-a-tensor"}),
        (nn.Sequential(nn.Flatten(0)), ["0"], "network.layer-unusable", {"layer": "0", "reason": "batch-axis"}),
    ],
)
def test_networks_that_cannot_serve_are_refused_with_the_reason(module, taps, code, facts):
    with raises(ExtractorError, code, network="n", **facts):
        probe(network(module, taps), batch_size=4)


def test_what_receives_the_outputs_is_not_mistaken_for_the_network():
    extractor = probe(network(Tokens(), ["out"]), batch_size=4)

    class DiskFull(OSError):
        pass

    def full(_index, _output):
        raise DiskFull

    with pytest.raises(DiskFull):
        extractor.run(torch.rand(4, 3, 8, 8), full)
    with raises(ExtractorError, "network.forward", network="n", n_images=1, error="ValueError", file=__file__):
        extractor.run(torch.rand(1, 3, 9, 9), full)


def test_a_layer_of_which_no_patch_is_left_is_refused():
    alone = replace(network(Tokens(), ["out"]), prefix_tokens=4)
    with raises(ExtractorError, "network.tokens", layer="out", tokens="patch", n_tokens=4, n_prefix=4):
        probe(alone, batch_size=4, tokens="patch")


def test_rows_are_probed_as_they_are_extracted():
    threads = []
    module = Tokens()
    module.register_forward_hook(lambda *_: threads.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        probe(network(module, ["out"]), batch_size=4)
        assert threads[-2:] == [1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Hungry(torch.nn.Module):
    """Has memory for small batches, and for itself where it may."""

    def __init__(self, *, fits):
        super().__init__()
        self.out, self._fits = torch.nn.Conv2d(3, 4, 1), fits

    def to(self, *arguments, **named):
        if not self._fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().to(*arguments, **named)

    def forward(self, images):
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.out(images)


@pytest.mark.parametrize(
    ("fits", "batch_size"),
    [(True, 16), (False, None)],
)
def test_a_device_without_memory_is_an_error_when_a_network_is_loaded(fits, batch_size):
    network = Network("hungry", Hungry(fits=fits), Preprocessing(8), ("out",), "d", "c", "none", "")
    with raises(ExtractorError, "network.memory", network="hungry", device="cpu", batch_size=batch_size):
        probe(network, batch_size=16)


def test_a_missing_gpu_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with raises(ExtractorError, "network.device", device="cuda", n_devices=0):
        probe(network(nn.Conv2d(3, 3, 1), [""]), device="cuda")


@pytest.mark.parametrize("name", ["seeded_cnn", "seeded_vit"])
def test_the_built_in_networks_are_read_from_their_weights(name):
    extractor = load_extractor(name)
    assert len(extractor.layers) == 4
    assert len(extractor.network.weights_digest) == 64
    assert extractor.fingerprint == load_extractor(name).fingerprint


def test_an_unknown_network_comes_with_the_closest_name():
    with raises(UnknownName, "name.network", name="seeded_cn", close=["seeded_cnn"]):
        load_extractor("seeded_cn")
