"""Devices: which ones a name of the datasets file means."""

from __future__ import annotations

import platform

import torch

from dna_pipelines.errors import ExtractorError


def devices_of(device: str) -> tuple[str, ...]:
    """`cpu` and `cuda:1` are one device, `cuda` is every GPU that torch sees.

    Raises:
        ExtractorError: when there is no such device, or when the GPUs are of several kinds (what
            one image gives would depend on which of them it came to).
    """
    if device == "cpu":
        return ("cpu",)
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number.isdecimal() or device == "cuda"):
        raise ExtractorError(
            f"there is no device '{device}'; use 'cpu', 'cuda' (all GPUs) or one GPU, such as 'cuda:0'"
        )
    if not torch.cuda.is_available():
        raise ExtractorError(f"device '{device}' was asked for, and torch sees no GPU; use 'cpu'")
    n_devices = torch.cuda.device_count()
    if number:
        if int(number) >= n_devices:
            raise ExtractorError(f"there is no device '{device}'; torch sees {n_devices} GPUs, from cuda:0")
        return (f"cuda:{int(number)}",)
    names = {torch.cuda.get_device_name(index) for index in range(n_devices)}
    if len(names) > 1:
        kinds = ", ".join(sorted(names))
        raise ExtractorError(f"device 'cuda' means all GPUs, and these differ ({kinds}); name one, such as 'cuda:0'")
    return tuple(f"cuda:{index}" for index in range(n_devices))


def describe_devices() -> str:
    """The threads and GPUs that torch sees on this machine."""
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{torch.get_num_threads()} threads on {platform.machine()}; GPUs: {', '.join(devices) or 'none'}"
