"""Networks that store something on themselves during a forward pass, which the lanes of a CPU share."""

import threading

import pytest
import torch
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.probing import determinism
from dna_pipelines.extraction.probing.probe import probe
from dna_pipelines.imaging import Preprocessing
from dna_pipelines_tests.raising import raises


def probed(module, **settings):
    return probe(Network("n", module, Preprocessing(8), ("out",), "d", "c", "none", ""), batch_size=4, **settings)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.out = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Identity()

    def forward(self, x):
        skip = self.first(x)
        return self.out(self.second(skip) + skip)


class Skips(Plain):
    """As networks with skip connections often do."""

    def forward(self, x):
        self.skip = self.first(x)
        return self.out(self.second(self.skip) + self.skip)


class Functional(Plain):
    """No module runs between what is kept and its use."""

    def forward(self, x):
        self.mean = x.mean((2, 3), keepdim=True)
        return self.out((x * 2).relu() - self.mean)


class Fills(Plain):
    """A list of its own, as those who collect features do; two passes at once make it too long."""

    def forward(self, x):
        self.found = []
        for part in (self.first, self.second):
            x = part(x)
            self.found.append(x)
        one, other = self.found
        return self.out(one + other)


class KeepsWhatIsAlwaysTheSame(Plain):
    def forward(self, x):
        self.size, self.ones = x.shape[-2:], torch.ones(1, 4, *x.shape[-2:])
        return self.out(self.second(self.first(x)) * self.ones + self.size[0])


class Locks(Plain):
    """It lets one pass in at a time, and so may keep what it likes."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, x):
        with self.lock:
            self.skip = self.first(x)
            return self.out(self.second(self.skip) + self.skip)


@pytest.mark.parametrize("module", [Skips(), Functional()])
@pytest.mark.parametrize("precision", ["float32", "fast"])
def test_what_a_network_keeps_on_itself_is_noticed(module, precision):
    with raises(ExtractorError, "network.shared-state", network="n", layers=["out"]):
        probed(module, precision=precision)


def test_concurrent_passes_that_fail_are_an_error_with_file_and_line():
    with raises(ExtractorError, "network.shared-state", network="n", error="ValueError", file=__file__) as caught:
        probed(Fills())
    assert caught.value.facts["line"] > 0


@pytest.mark.parametrize("module", [Plain(), KeepsWhatIsAlwaysTheSame()])
def test_a_network_that_leaves_nothing_behind_is_taken(module):
    assert probed(module).layers.names == ["out"]


def test_a_network_that_lets_in_one_pass_at_a_time_is_taken(monkeypatch):
    monkeypatch.setattr(determinism, "_TURN_TIMEOUT_S", 0.05)
    assert probed(Locks()).layers.names == ["out"]


def test_code_that_cannot_be_followed_is_run_without_turns(monkeypatch):
    """Some compiled code fails under a mode of torch; then two passes run freely, several times."""

    class Hidden(Plain):
        def forward(self, x):
            if torch.overrides._get_current_function_mode():
                raise RuntimeError("not under a mode")
            return super().forward(x)

    tries = []
    at_once = determinism._at_once
    monkeypatch.setattr(determinism, "_at_once", lambda *given: tries.append(given[2]) or at_once(*given))
    assert probed(Hidden()).layers.names == ["out"]
    assert tries == [None] * determinism._N_TRIES
