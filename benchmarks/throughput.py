"""Throughput: from image files to counts, against the reference's own pipeline with the same random weights."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import numpy as np

from benchmarks.measure import Row, alternate, ms
from benchmarks.networks import Images, Ours, Theirs, resnet50, vit
from benchmarks.peers import HOW_TO_GET_PIPELINE, reference_pipeline
from benchmarks.world import World
from dna_pipelines.extraction.stream.stage_times import StageTimes, n_cores

N_IMAGES, N_ROUNDS = {"ViT-B/16": 128, "ResNet-50": 384}, 3
"""Enough batches that filling and emptying the lanes is a small part."""

MOVED_BINS = 5.0
"""More than the other resizing of the reference moves histograms: then the two did not do the same work."""

TARGET_VIT, TARGET_RESNET, TARGET_FOLD, TARGET_OVERLAP = 1.2, 2.0, 0.05, 0.9


def run(world: World, n_images: Mapping[str, int] = N_IMAGES, n_rounds: int = N_ROUNDS) -> list[Row]:
    vdna = reference_pipeline()
    if vdna is None:
        print(HOW_TO_GET_PIPELINE)
        return []
    rows = []
    for name, (network, model), target in (
        ("ViT-B/16", vit(vdna), TARGET_VIT),
        ("ResNet-50", resnet50(vdna, world.root), TARGET_RESNET),
    ):
        images = Images(world.root / f"{n_images[name]} photographs", n_images[name])
        ours = Ours(network, images, batch_size=32)
        theirs = Theirs(vdna, model, ours, images, device="cpu", num_workers=n_cores())
        rows += _compare(name, ours, theirs, n_images[name], n_rounds, target)
    return rows


def _compare(name: str, ours: Ours, theirs: Theirs, n_images: int, n_rounds: int, target: float) -> list[Row]:
    counts: dict[str, np.ndarray] = {}
    times: list[StageTimes] = []
    free: list[float] = []

    def fit_ours() -> None:
        counts["ours"], measured = ours.fit()
        times.append(measured)

    def fit_theirs() -> None:
        counts["theirs"] = theirs.fit()

    rounds = alternate(n_rounds, ours=fit_ours, theirs=fit_theirs, free=lambda: free.append(free_cores()))
    times, free = times[1:], free[1:]
    moved = moved_bins(counts["ours"], counts["theirs"], at_most=MOVED_BINS)
    ratio = rounds.ratio("theirs", "ours")
    total = StageTimes()
    for measured in times:
        total = total.merge(measured)
    folding = total.fold_s / total.forward_s
    overlaps = [(fit.decode_s + fit.forward_s + fit.fold_s) / fit.n_workers / fit.elapsed_s for fit in times]
    overlap = float(np.median(overlaps))
    given = float(np.median(free)) / total.n_workers

    def speed(what: str) -> str:
        return f"{n_images / rounds.median(what):.1f} images/s"

    return [
        Row(
            f"{name}, random weights, 1,000 bins, {n_images} JPEGs of 500 x 375 px, CPU: files to counts",
            speed("ours"),
            f"{speed('theirs')} (vdna `fill_vdna`, {n_cores()} loader processes, torch on all cores)",
            f"{ratio:.2f}x faster",
            f">= {target:.1f}x",
            ratio >= target,
            f"{rounds.spread('theirs', 'ours')}; the reference counts histograms only; its histograms are "
            f"{moved:.2f} bins away from ours (it resizes in another way)",
        ),
        Row(
            f"{name}: folding, as a share of the forward pass",
            ms(total.fold_s / total.n_images),
            f"{ms(total.forward_s / total.n_images)} (forward pass of an image, processor time)",
            f"{folding:.1%}",
            f"<= {TARGET_FOLD:.0%}" if name.startswith("ViT") else "",
            folding <= TARGET_FOLD if name.startswith("ViT") else None,
        ),
        Row(
            f"{name}: overlap: end to end against all cores doing nothing but the stages' work",
            f"{total.images_per_s:.1f} images/s",
            f"{total.images_per_s / overlap:.1f} images/s (cores ÷ processor time of the stages)",
            f"{overlap:.0%}",
            f">= {TARGET_OVERLAP:.0%}",
            overlap >= TARGET_OVERLAP,
            f"single rounds {min(overlaps):.0%} to {max(overlaps):.0%}; threads that only hash got {given:.0%} of "
            "the cores at the same time: other programs took the rest",
        ),
    ]


def moved_bins(ours: np.ndarray, theirs: np.ndarray, *, at_most: float) -> float:
    """The mean earth mover's distance of neurons, in bins; an error where it is more."""
    shares = [counts / counts.sum(axis=1, keepdims=True) for counts in (ours.astype(float), theirs.astype(float))]
    moved = float(np.abs(np.cumsum(shares[0] - shares[1], axis=1)).sum(axis=1).mean())
    if moved > at_most:
        raise RuntimeError(f"the reference's histograms are {moved:.1f} bins away")
    return moved


def free_cores(seconds: float = 1.0) -> float:
    """Cores that threads which never wait are given now."""
    data, until = os.urandom(2**20), time.perf_counter() + seconds

    def hash_on() -> float:
        while time.perf_counter() < until:
            sha256(data).digest()
        return time.thread_time()

    n_threads = n_cores()
    started = time.perf_counter()
    with ThreadPoolExecutor(n_threads) as pool:
        work: list[Callable[[], float]] = [hash_on] * n_threads
        used = sum(future.result() for future in [pool.submit(one) for one in work])
    return used / (time.perf_counter() - started)
