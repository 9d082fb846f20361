"""The speed of each stage of an extraction, measured alone on one thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.dna import Partial
from dna_pipelines.errors import Unreadable
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.inputs import network_input, torch_resize
from dna_pipelines.identity import digest_of
from dna_pipelines.imaging import decode
from dna_pipelines.manifests import Shard
from dna_pipelines.project.progress import Advance
from dna_pipelines.sources.base import Entry
from dna_pipelines.storage import Lake


@dataclass(frozen=True)
class StageSpeed:
    """The speed of one stage alone, on one thread."""

    stage: str
    ms_per_image: float
    remark: str = ""

    @property
    def images_per_s(self) -> float:
        """The images per second of this stage alone."""
        return 1000 / self.ms_per_image if self.ms_per_image else float("inf")


class Sample(NamedTuple):
    """Images of a dataset by digest, and the times of their stages."""

    paths: dict[str, bytes]
    n_unreadable: int
    width_px: float
    height_px: float
    read_s: float
    decode_s: float
    preprocess_s: float
    rows: list[NDArray[np.float32]]


def evenly(entries: Sequence[Entry], n_images: int) -> list[bytes]:
    """Paths at equal steps over the listing, because neighbours are similar."""
    paths = [entry.path for entry in entries if not entry.problem]
    n = min(n_images, len(paths))
    return [paths[index * len(paths) // n] for index in range(n)]


def take_sample(
    read: Callable[[bytes], bytes], paths: Iterable[bytes], extractor: Extractor, advance: Advance
) -> Sample:
    """Read, decode and preprocess images one after the other, and measure each step."""
    prepare = extractor.network.preprocessing
    path_of: dict[str, bytes] = {}
    rows: list[NDArray[np.float32]] = []
    sizes: list[tuple[int, ...]] = []
    n_unreadable = 0
    read_s = decode_s = preprocess_s = 0.0
    warm = False
    for path in paths:
        advance(1)
        began = time.perf_counter()
        try:
            data = read(path)
            digest, read_in = digest_of(data), time.perf_counter() - began
            if not warm:
                # Otherwise what is loaded and prepared once would be most of the time of a few images.
                network_input(data, prepare)
                warm = True
            started = time.thread_time()
            rgb = decode(data)
        except (OSError, Unreadable):
            n_unreadable += 1
            continue
        if digest in path_of:
            continue
        decoded = time.thread_time()
        row = prepare(rgb, torch_resize)
        prepared = time.thread_time()
        read_s, decode_s = read_s + read_in, decode_s + decoded - started
        preprocess_s += prepared - decoded
        path_of[digest] = path
        sizes.append(rgb.shape[:2])
        if len(rows) < extractor.batch_size:
            rows.append(row)
    height_px, width_px = np.mean(sizes, axis=0) if sizes else (0.0, 0.0)
    times = (read_s, decode_s, preprocess_s)
    return Sample(path_of, n_unreadable, float(width_px), float(height_px), *times, rows)


def write_s(shard: Shard, partial: Partial, extractor: Extractor) -> float:
    """Seconds that writing a partial takes, in a temporary lake."""
    with tempfile.TemporaryDirectory() as folder:
        store = Lake(Path(folder) / "lake").fingerprints
        started = time.perf_counter()
        store.put_partial("profile", shard.id, partial, extractor.layers)
        return time.perf_counter() - started
