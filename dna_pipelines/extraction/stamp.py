"""What an extractor's code and settings look like from outside, without loading torch.

The stamp changes whenever the extractor may have; only then is the network loaded to see.
"""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points, version
from importlib.util import find_spec

import dna_pipelines
from dna_pipelines.config import ExtractorConfig
from dna_pipelines.identity import stable_hash

BUILT_IN = ("seeded_cnn", "seeded_vit")
"""Extractors that are part of the package."""

GROUP = "dna_pipelines.extractors"
"""Entry points of this group are extractors too: functions that return a `Network`."""


def extractor_names() -> list[str]:
    """Every name that can stand in the datasets file."""
    return sorted({*BUILT_IN, *entry_point_extractors()})


def entry_point_extractors() -> dict[str, EntryPoint]:
    """Extractors of other packages."""
    return {point.name: point for point in entry_points(group=GROUP)}


def extractor_stamp(config: ExtractorConfig) -> str:
    """A hash over versions, settings and, for extractors of others, their module's file."""
    facts = [dna_pipelines.__version__, version("torch"), version("pillow"), version("numpy")]
    if point := entry_point_extractors().get(config.name):
        spec = find_spec(point.module)
        if spec and spec.origin and os.path.exists(spec.origin):
            status = os.stat(spec.origin)
            facts += [point.value, str(status.st_size), str(status.st_mtime_ns)]
    return stable_hash([*facts, config.name, config.batch_size, config.device, config.precision])
