"""A `Network` and its `Preprocessing` refuse values that they cannot have, before anything is measured."""

import pytest
import torch

import dna_pipelines as dna
from dna_pipelines_tests.raising import raises


@pytest.mark.parametrize(
    "wrong",
    [
        {"fit": "q"}, {"interpolation": "q"}, {"resized_as": "q"}, {"crop_share": 5}, {"mean": (1,)}, {"mean": 3},
        {"std": (0, 1, 1)}, {"size_px": "32"},
    ],
)  # fmt: skip
def test_a_preprocessing_refuses_values_that_it_cannot_have(wrong):
    with raises(dna.ExtractorError, "network.preprocessing-value", setting=next(iter(wrong))):
        dna.Preprocessing(**{"size_px": 32, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 3}, {"preprocessing": 3}, {"patch_px": "x"}, {"covariance_layers": ("q",)},
        {"image_layers": ("q",)},
    ],
)  # fmt: skip
def test_a_network_refuses_attributes_that_it_cannot_have(wrong):
    right = {
        "name": "n", "module": torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3)), "preprocessing": dna.Preprocessing(32),
        "taps": ("0",), "weights_digest": "", "architecture": "n/1", "licence": "none", "summary": "One layer.",
    }  # fmt: skip
    assert dna.Network(**right).name == "n"
    with raises(dna.ExtractorError, "network.attribute", attribute=next(iter(wrong))):
        dna.Network(**{**right, **wrong})
