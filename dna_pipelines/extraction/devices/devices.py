"""Devices: which ones the setting `device` of the datasets file means."""

from __future__ import annotations

import platform

import torch

from dna_pipelines.errors import ExtractorError


def devices_of(device: str) -> tuple[str, ...]:
    """The devices that a setting means: `cpu` and `cuda:1` are one device, `cuda` is every GPU that torch sees.

    Raises:
        ExtractorError: `network.device` when there is no such device, `network.devices-differ` when the GPUs are of
            several models (the activations of an image would depend on which of them computes them).

    Examples:
        >>> devices_of("cpu")
        ('cpu',)
    """
    if device == "cpu":
        return ("cpu",)
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number.isdecimal() or device == "cuda"):
        raise ExtractorError(
            f"there is no device '{device}'; use 'cpu', 'cuda' (all GPUs) or one GPU, such as 'cuda:0'",
            code="network.device",
            device=device,
        )
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not n_devices:
        raise ExtractorError(
            f"the device is '{device}', but torch sees no GPU; use 'cpu'",
            code="network.device",
            device=device,
            n_devices=0,
        )
    if number:
        if int(number) >= n_devices:
            raise ExtractorError(
                f"there is no device '{device}'; torch sees {n_devices} GPUs, from cuda:0 on",
                code="network.device",
                device=device,
                n_devices=n_devices,
            )
        return (f"cuda:{int(number)}",)
    models = sorted({torch.cuda.get_device_name(index) for index in range(n_devices)})
    if len(models) > 1:
        raise ExtractorError(
            f"device 'cuda' means all GPUs, but these are of different models ({', '.join(models)}); choose one, such "
            "as 'cuda:0'",
            code="network.devices-differ",
            device=device,
            models=models,
        )
    return tuple(f"cuda:{index}" for index in range(n_devices))


def describe_devices() -> str:
    """The threads and GPUs of torch on this machine, in one line."""
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{torch.get_num_threads()} threads on {platform.machine()}; GPUs: {', '.join(devices) or 'none'}"
