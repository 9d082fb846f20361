"""Extraction computes in float32 with any settings of torch, and restores them."""

import pytest
import torch

from dna_pipelines.extraction.devices.numerics import reproducible


def newer_names():
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = "tf32"


def older_names():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def everything():
    torch.backends.fp32_precision = "tf32"


def matrices():
    torch.set_float32_matmul_precision("medium")


def tried_out():
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, False


def settings():
    matmul, cudnn, cpu = torch.backends.cuda.matmul, torch.backends.cudnn, torch.backends.mkldnn
    if hasattr(matmul, "fp32_precision"):
        places = (matmul, cudnn.conv, cudnn.rnn, cpu.matmul, cpu.conv, cpu.rnn)
        precisions = [place.fp32_precision for place in places]
    else:
        # torch before 2.9
        precisions = [matmul.allow_tf32, cudnn.allow_tf32]
    return precisions, cudnn.benchmark, cudnn.deterministic, torch.get_num_threads()


@pytest.fixture
def restored():
    places = (
        torch.backends,
        torch.backends.cuda.matmul,
        torch.backends.cudnn.conv,
        torch.backends.cudnn.rnn,
        torch.backends.mkldnn.matmul,
    )
    precision = torch.get_float32_matmul_precision()
    before = [place.fp32_precision for place in places]
    tried = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    yield
    for place, value in zip(places, before, strict=True):
        place.fp32_precision = value
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = tried
    torch.set_float32_matmul_precision(precision)


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="torch before 2.9")
@pytest.mark.parametrize("way", [newer_names, older_names, everything, matrices, tried_out])
def test_float32_is_float32_whatever_was_set(restored, way):
    way()
    before = settings()
    with reproducible():
        assert settings() == (["ieee"] * 6, False, True, 1)
    assert settings() == before


def test_settings_are_restored_after_an_error():
    before = settings()
    with pytest.raises(KeyError), reproducible():
        raise KeyError
    assert settings() == before
