"""Choosing neurons."""

import numpy as np
import pytest

from dna_pipelines.comparison import Selection
from dna_pipelines.distributions import Layer, Layers
from dna_pipelines.errors import UnknownName

LAYERS = Layers((Layer("block.0", 4), Layer("block.1", 3), Layer("projected", 5, kind="projection")))


def test_everything_means_real_neurons_only():
    assert Selection.everything(LAYERS).weights.tolist() == [1] * 7 + [0] * 5


def test_everything_of_a_view_is_virtual():
    view = Layers((Layer("block.0", 2, kind="projection"), Layer("block.1.r0c0", 3, kind="cell")))
    assert Selection.everything(view).weights.tolist() == [1] * 5
    assert Selection.of(view).names() == view.names


def test_layers_and_single_neurons():
    chosen = Selection.of(LAYERS, ["block.1"], ["block.0:0,2-3"])
    assert chosen.weights.tolist() == [1, 0, 1, 1, 1, 1, 1] + [0] * 5
    assert chosen.names() == ["block.0", "block.1"]
    assert Selection.of(LAYERS, ["projected"]).weights.sum() == 5


def test_the_mean_is_weighted_and_skips_neurons_without_a_value():
    selection = Selection(LAYERS, np.array([1.0, 3.0, 1.0] + [0.0] * 9))
    values = np.array([2.0, 4.0, np.nan] + [100.0] * 9)
    assert selection.mean(values) == pytest.approx(3.5)
    assert np.isnan(selection.mean(np.full(12, np.nan)))


@pytest.mark.parametrize("text", ["block.0:9", "block.0:x", "block.7:1", "block.0:-1"])
def test_neurons_there_are_not(text):
    with pytest.raises(UnknownName):
        Selection.of(LAYERS, [], [text])
