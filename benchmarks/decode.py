"""Decoding: from the bytes of a JPEG to a network's input, against Pillow, on one thread and on two."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import Rounds, Row, alternate, ms
from benchmarks.world import World
from dna_pipelines.extraction.inputs import network_input, torch_resize
from dna_pipelines.imaging import Preprocessing, decode

SIZES = {"500 x 375": ((500, 375), 6, 80), "4000 x 3000": ((4000, 3000), 2, 24)}
"""Width and height, images in a round, rounds: many short ones, because a disturbance hits few of them."""

PHOTOGRAPHS = ("china.jpg", "flower.jpg", "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
PREPARE = Preprocessing(224)
TARGET, TARGET_THREADS = 2.0, 1.6
HOW_TO_GET = "the photographs of scikit-learn and scikit-image are missing: pip install 'dna_pipelines[demo]'"


def run(_world: World) -> list[Row]:
    photographs = _photographs()
    if not photographs:
        print(HOW_TO_GET)
        return []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows: list[Row] = []
        for name, (size, n_images, n_rounds) in SIZES.items():
            files = [_jpeg(photographs[index % len(photographs)], size) for index in range(n_images)]
            rows += _compare(name, files, n_rounds)
        return rows
    finally:
        torch.set_num_threads(threads)


def _photographs() -> list[Image.Image]:
    try:
        import skimage
        import sklearn
    except ImportError:
        return []
    folders = [Path(sklearn.__file__).parent / "datasets" / "images", Path(skimage.__file__).parent / "data"]
    return [
        Image.open(path).convert("RGB")
        for name in PHOTOGRAPHS
        for folder in folders
        if (path := folder / name).exists()
    ]


def _jpeg(photograph: Image.Image, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    photograph.resize(size, Image.Resampling.BICUBIC).save(buffer, "jpeg", quality=90)
    return buffer.getvalue()


def _pillow_levels(data: bytes) -> np.ndarray:
    """Decoded and resized as anyone would with Pillow."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))


def _our_levels(data: bytes) -> np.ndarray:
    return torch_resize(decode(data), 224, 224, "bicubic")


def _pillow_input(data: bytes) -> np.ndarray:
    levels = _pillow_levels(data).astype(np.float32) / np.float32(255)
    normalised = (levels - np.asarray(PREPARE.mean, np.float32)) / np.asarray(PREPARE.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))


def _our_input(data: bytes) -> np.ndarray:
    return network_input(data, PREPARE)


def _compare(name: str, files: list[bytes], n_rounds: int) -> list[Row]:
    differences = [np.abs(_our_levels(data).astype(int) - _pillow_levels(data)) for data in files[: len(PHOTOGRAPHS)]]
    moved = np.mean([(difference > 0).mean() for difference in differences])
    if max(difference.max() for difference in differences) > 2 or moved > 0.01:
        raise RuntimeError("the pixels are not Pillow's to one level")
    with ThreadPoolExecutor(2) as two:
        rounds = alternate(
            n_rounds,
            ours=lambda: [_our_levels(data) for data in files],
            pillow=lambda: [_pillow_levels(data) for data in files],
            our_input=lambda: [_our_input(data) for data in files],
            pillow_input=lambda: [_pillow_input(data) for data in files],
            two=lambda: list(two.map(_our_input, files)),
            pillow_two=lambda: list(two.map(_pillow_input, files)),
        )
    ratio, whole = rounds.ratio("pillow", "ours"), rounds.ratio("pillow_input", "our_input")
    scaling = rounds.ratio("our_input", "two")
    return [
        Row(
            f"{name}: decode and resize to 224 x 224, one thread",
            _each(rounds, "ours", files),
            f"{_each(rounds, 'pillow', files)} (Pillow)",
            f"{ratio:.2f}x as fast",
            f">= {TARGET:.0f}x",
            ratio >= TARGET,
            f"{rounds.spread('pillow', 'ours')}; {moved:.2%} of the values differ, by one level",
        ),
        Row(
            f"{name}: the same and normalised, bytes to floats",
            _each(rounds, "our_input", files),
            f"{_each(rounds, 'pillow_input', files)} (Pillow, numpy)",
            f"{whole:.2f}x as fast",
            note=rounds.spread("pillow_input", "our_input"),
        ),
        Row(
            f"{name}: bytes to floats on two threads",
            _each(rounds, "two", files),
            f"{_each(rounds, 'our_input', files)} (one thread)",
            f"{scaling:.2f}x as fast",
            f">= {TARGET_THREADS}x",
            scaling >= TARGET_THREADS,
            f"{rounds.spread('our_input', 'two')}; Pillow and numpy: {rounds.ratio('pillow_input', 'pillow_two'):.2f}x",
        ),
    ]


def _each(rounds: Rounds, name: str, files: list[bytes]) -> str:
    return f"{ms(rounds.median(name) / len(files))} an image"
