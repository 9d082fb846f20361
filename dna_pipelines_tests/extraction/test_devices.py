"""Devices, and the fold on them."""

import importlib.util
import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dna_pipelines.distributions import Binning
from dna_pipelines.errors import ExtractorError, UserError
from dna_pipelines.extraction.devices import device_fold
from dna_pipelines.extraction.devices.device_fold import DeviceFold, agrees_with_torch, fold_layer_for, fold_with_torch
from dna_pipelines.extraction.devices.devices import devices_of
from dna_pipelines_tests.raising import raises


@pytest.fixture
def gpus(monkeypatch):
    def pretend(*names):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(names))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: names[index])

    return pretend


def test_what_a_device_means(gpus):
    gpus("H100", "H100", "H100")
    assert devices_of("cpu") == ("cpu",)
    assert devices_of("cuda:1") == ("cuda:1",)
    assert devices_of("cuda") == ("cuda:0", "cuda:1", "cuda:2")


@pytest.mark.parametrize(
    ("names", "device", "n_devices"),
    [
        ((), "cuda", 0),
        ((), "cuda:0", 0),
        (("H100", "H100"), "cuda:2", 2),
        (("H100",), "gpu", None),
        (("H100",), "cuda:", None),
        (("H100",), "cuda:x", None),
        (("H100",), "mps", None),
    ],
)
def test_a_device_that_does_not_exist_is_an_error(gpus, names, device, n_devices):
    gpus(*names)
    with raises(ExtractorError, "network.device", device=device, n_devices=n_devices):
        devices_of(device)


def test_all_gpus_must_be_of_one_model(gpus):
    gpus("H100", "A100")
    with raises(ExtractorError, "network.devices-differ", device="cuda", models=["A100", "H100"]):
        devices_of("cuda")


def test_gpus_of_two_kinds_can_still_be_named(gpus):
    gpus("H100", "A100")
    assert devices_of("cuda:1") == ("cuda:1",)


def test_many_images_at_once_are_counted_in_pieces(monkeypatch):
    values = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (9, 5, 7)).astype(np.float32))
    binning, folds = Binning(np.full(6, -2.0), np.full(6, 2.0)), []
    for most in (10**6, 40):
        monkeypatch.setattr(device_fold, "_MAX_VALUES", most)
        folds.append(DeviceFold(binning, np.arange(12) % 5, "cpu"))
        folds[-1].add(slice(1, 6), values, slice(2, 11))
    whole, pieces = folds
    for name in ("counts", "blocks", "n_zero", "minimum", "maximum", "pooled"):
        assert torch.equal(getattr(whole, name), getattr(pieces, name)), name
    assert whole.counts.sum() == values.numel()


def test_a_device_fold_that_would_overflow_is_an_error():
    fold = DeviceFold(Binning(np.zeros(1), np.ones(1)), np.zeros(1, int), "cpu")
    fold._n_values[0] = 2**31 - 2
    with raises(UserError, "network.too-many-values", limit=2**31):
        fold.add(slice(0, 1), torch.zeros(1, 1, 4), slice(0, 1))


def wrong_in_one_bin(fold, part, values, images):
    fold_with_torch(fold, part, values, images)
    fold.counts[part.start, 500] += 1


def blind_to_nan(fold, part, values, images):
    fold_with_torch(fold, part, values.nan_to_num(0), images)


@pytest.mark.parametrize("fold_layer", [wrong_in_one_bin, blind_to_nan])
def test_a_wrong_kernel_is_detected(fold_layer):
    assert agrees_with_torch(fold_with_torch, "cpu")
    assert not agrees_with_torch(fold_layer, "cpu")


def test_a_kernel_that_cannot_be_used_is_a_warning(monkeypatch):
    fold_layer_for.cache_clear()
    monkeypatch.setattr(device_fold, "find_spec", lambda _name: object())
    monkeypatch.setitem(sys.modules, "dna_pipelines.extraction.devices.device_kernel", None)
    with pytest.warns(device_fold.FoldKernelWarning):
        assert fold_layer_for("cuda:0") is fold_with_torch
    fold_layer_for.cache_clear()


@pytest.mark.parametrize("wrong", [None, "by_tiles", "by_values"])
def test_the_faster_of_the_kernels_that_are_right_is_used(monkeypatch, wrong):
    ways = {name: lambda *arguments: fold_with_torch(*arguments) for name in ("by_tiles", "by_values")}
    seconds = {"by_tiles": 0.1, "by_values": 0.2}
    if wrong:
        ways[wrong] = blind_to_nan
    kernels = SimpleNamespace(fold_by_tiles=ways["by_tiles"], fold_by_values=ways["by_values"])
    monkeypatch.setitem(sys.modules, "dna_pipelines.extraction.devices.device_kernel", kernels)
    monkeypatch.setattr(device_fold, "find_spec", lambda _name: object())
    names = {function: name for name, function in ways.items()}
    monkeypatch.setattr(device_fold, "_seconds", lambda function, device: seconds[names[function]])
    on_cpu = device_fold.agrees_with_torch
    monkeypatch.setattr(device_fold, "agrees_with_torch", lambda function, _device: on_cpu(function, "cpu"))
    fold_layer_for.cache_clear()
    assert fold_layer_for("cuda:0") is ways["by_values" if wrong == "by_tiles" else "by_tiles"]
    fold_layer_for.cache_clear()


def test_on_the_cpu_no_kernel_is_looked_for():
    with warnings.catch_warnings(action="error"):
        assert fold_layer_for("cpu") is fold_with_torch


@pytest.mark.campaign
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton comes with torch for CUDA")
@pytest.mark.skipif(torch.cuda.is_available(), reason="test_on_gpu looks at it there")
@pytest.mark.parametrize("way", ["fold_by_tiles", "fold_by_values"])
def test_the_kernel_counts_as_torch_does(way):
    """Interpreted on the CPU, in a process of its own, because Triton decides when it is imported.

    (Triton 3.6 cannot be interpreted with numpy 2.4 and later; 3.9 can.)
    """
    code = (
        "from dna_pipelines.extraction.devices.device_fold import agrees_with_torch; "
        f"from dna_pipelines.extraction.devices.device_kernel import {way}; "
        f"print(agrees_with_torch({way}, 'cpu'))"
    )
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr
