"""The registry of extractors: each known by one name.

To add one: a function that returns a `Network`, and `register` (or an entry point of the group
`dna_pipelines.extractors` in a package of your own).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import lru_cache

from dna_pipelines.errors import UnknownName
from dna_pipelines.extraction.extractor import Extractor, Network
from dna_pipelines.extraction.numerics import EXACT
from dna_pipelines.extraction.probe import probe
from dna_pipelines.extraction.seeded import seeded_cnn, seeded_vit
from dna_pipelines.extraction.stamp import entry_point_extractors

_FACTORIES: dict[str, Callable[[], Network]] = {"seeded_cnn": seeded_cnn, "seeded_vit": seeded_vit}


def register(name: str, factory: Callable[[], Network]) -> None:
    """Make a network known in this process under a name (the one that its `Network` carries)."""
    _FACTORIES[name] = factory
    load_extractor.cache_clear()


@lru_cache(maxsize=16)
def load_extractor(name: str, *, batch_size: int = 32, device: str = "cpu", precision: str = EXACT) -> Extractor:
    """Build and probe a network; kept for the next call with the same arguments.

    Raises:
        UnknownName: listing the names there are.
        ExtractorError: when the network cannot serve.
    """
    factory = _FACTORIES.get(name)
    if factory is None and (point := entry_point_extractors().get(name)):
        factory = point.load()
    if factory is None:
        known = sorted({*_FACTORIES, *entry_point_extractors()})
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(known)}"
        raise UnknownName(f"there is no extractor '{name}'; {hint}")
    return probe(factory(), batch_size=batch_size, device=device, precision=precision)
