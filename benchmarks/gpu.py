"""On a GPU: end to end against the bare forward pass and the reference, and folding against memory bandwidth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import inf

import numpy as np
import torch

from benchmarks.measure import Row, alternate, ms
from benchmarks.networks import Images, Ours, Theirs, vit
from benchmarks.peers import HOW_TO_GET_PIPELINE, reference_pipeline
from benchmarks.throughput import MOVED_BINS, moved_bins
from benchmarks.world import World
from dna_pipelines.distributions import Binning, Layer, Layers
from dna_pipelines.extraction.devices.device_fold import DeviceFold, fold_layer_for
from dna_pipelines.extraction.devices.numerics import EXACT, FAST, reproducible
from dna_pipelines.extraction.stream.stage_times import StageTimes, n_cores

TARGET_FORWARD, TARGET_REFERENCE = 0.9, 10.0
NEEDED = "a trial on the CPU with a tiny network; the figures need a GPU"


def run(world: World) -> Iterator[Row]:
    on_gpu = torch.cuda.is_available()
    yield _folding(on_gpu)
    vdna = reference_pipeline()
    if vdna is None:
        print(HOW_TO_GET_PIPELINE)
        return
    images = Images(world.root / "gpu_photographs", 4096 if on_gpu else 8)
    device, batch_size = ("cuda:0", 128) if on_gpu else ("cpu", 4)
    for precision in (EXACT, FAST):
        network, model = vit(vdna, tiny=not on_gpu)
        ours = Ours(network, images, device=device, batch_size=batch_size, precision=precision)
        yield _against_forward(precision, ours, len(images.files), on_gpu=on_gpu)
        if precision == EXACT:
            settings = {"device": device, "num_workers": min(12, n_cores()), "batch_size": batch_size}
            theirs = Theirs(vdna, model.to(device), ours, images, **settings)
            yield _against_reference(ours, theirs, len(images.files), on_gpu=on_gpu)


def _name(ours: Ours, *, on_gpu: bool) -> str:
    extractor = ours.extractor
    return f"{'ViT-B/16' if on_gpu else 'tiny ViT'}, {extractor.precision}, batches of {extractor.batch_size}"


def _against_forward(precision: str, ours: Ours, n_files: int, *, on_gpu: bool) -> Row:
    # So long that filling and emptying the queues is a small part.
    times = (8 if precision == FAST else 2) if on_gpu else 1
    n_images, measured = times * n_files, list[StageTimes]()
    rounds = alternate(
        3 if on_gpu else 1,
        ours=lambda: measured.append(ours.fit(times)[1]),
        forward=lambda: _forward(ours, n_images),
    )
    share = rounds.ratio("forward", "ours")
    busy = [(fit.forward_s + fit.fold_s) / fit.elapsed_s for fit in measured[1:]]
    note = f"{rounds.spread('forward', 'ours')}; the device was busy {min(busy):.0%} of the time; {measured[-1]}"
    return Row(
        f"{_name(ours, on_gpu=on_gpu)}, {n_images:,} JPEGs: files to counts against the bare forward pass, its inputs "
        "on the device",
        f"{n_images / rounds.median('ours'):,.0f} images/s",
        f"{n_images / rounds.median('forward'):,.0f} images/s (forward pass)",
        f"{share:.0%}",
        f">= {TARGET_FORWARD:.0%}" if on_gpu else "",
        share >= TARGET_FORWARD if on_gpu else None,
        note if on_gpu else NEEDED,
    )


def _against_reference(ours: Ours, theirs: Theirs, n_images: int, *, on_gpu: bool) -> Row:
    counts: dict[str, np.ndarray] = {}
    rounds = alternate(
        2 if on_gpu else 1,
        ours=lambda: counts.update(ours=ours.fit()[0]),
        theirs=lambda: counts.update(theirs=theirs.fit()),
    )
    # Of eight images the resizing alone moves more.
    moved = moved_bins(counts["ours"], counts["theirs"], at_most=MOVED_BINS if on_gpu else inf)
    ratio = rounds.ratio("theirs", "ours")
    return Row(
        f"{_name(ours, on_gpu=on_gpu)}: {n_images:,} JPEGs against the reference's own pipeline on the same device",
        f"{n_images / rounds.median('ours'):,.0f} images/s",
        f"{n_images / rounds.median('theirs'):,.0f} images/s (vdna `fill_vdna`)",
        f"{ratio:.1f}x faster",
        f">= {TARGET_REFERENCE:.0f}x" if on_gpu else "",
        ratio >= TARGET_REFERENCE if on_gpu else None,
        f"{rounds.spread('theirs', 'ours')}; its histograms are {moved:.2f} bins away from ours" if on_gpu else NEEDED,
    )


def _forward(ours: Ours, n_images: int) -> None:
    """As many forward passes as that many images take, without hooks doing anything."""
    extractor = ours.extractor
    size = extractor.network.preprocessing.size_px
    inputs = torch.randn(extractor.batch_size, 3, size, size, device=extractor.device)
    with reproducible():
        for _ in range(-(-n_images // extractor.batch_size)):
            extractor.run(inputs, lambda _index, _output: None)
        _wait(extractor.device)


def _folding(on_gpu: bool) -> Row:
    """One layer of ViT-B/16, as often as it takes to be measured, against a copy within the device's memory."""
    n_images, n_neurons, n_positions = (128, 768, 197) if on_gpu else (4, 32, 50)
    device = "cuda:0" if on_gpu else "cpu"
    values = torch.randn(n_images, n_positions, n_neurons, device=device).transpose(1, 2)
    ends = np.full(n_neurons, 5.0, np.float32)
    binning = Binning.from_observed(-ends, ends, Layers((Layer("layer", n_neurons),)))
    fold = DeviceFold(binning, np.arange(n_images) % 64, device)
    source = torch.randn(2**28 if on_gpu else 2**18, device=device)
    target = torch.empty_like(source)

    def repeated(work: Callable[[], object], times: int = 50) -> float:
        work()
        _wait(device)
        started = time.perf_counter()
        for _ in range(times):
            work()
        _wait(device)
        return (time.perf_counter() - started) / times

    folding_s = repeated(lambda: fold.add(slice(0, n_neurons), values, slice(0, n_images)))
    copying_s = repeated(lambda: target.copy_(source), 10)
    read, bandwidth = 4 * values.numel() / folding_s / 1e9, 8 * source.numel() / copying_s / 1e9
    return Row(
        f"`DeviceFold.add` of a layer ({n_images} images x {n_neurons} neurons x {n_positions} positions): "
        "activations read a second",
        f"{read:.3g} GB/s ({ms(folding_s)}, {fold_layer_for(device).__name__})",
        f"{bandwidth:.3g} GB/s (copy within the device's memory)",
        f"{read / bandwidth:.0%} of memory bandwidth",
        note="" if on_gpu else NEEDED,
    )


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)
