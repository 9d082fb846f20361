"""Extractors as the datasets file configures them."""

from __future__ import annotations

from typing import Any

from dna_pipelines.config import ExtractorConfig
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.devices.devices import devices_of
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.views.view_extractor import view_of


def load(config: ExtractorConfig) -> Extractor:
    """The extractor of an entry in the datasets file, on the first of its devices."""
    return load_all(config)[0]


def load_all(config: ExtractorConfig) -> list[Extractor]:
    """The extractor of an entry in the datasets file, once for each of its devices.

    Raises:
        UnknownName: when there is no such network.
        ExtractorError: when the network cannot be used; the message and the facts name the extractor.
    """
    settings: dict[str, Any] = {
        "batch_size": config.batch_size,
        "precision": config.precision,
        "root": config.root,
        "layers": config.layers,
        "tokens": config.tokens,
    }
    try:
        extractors = [load_extractor(config.loads, device=device, **settings) for device in devices_of(config.device)]
        if len({id(extractor.network.module) for extractor in extractors}) < len(extractors):
            raise ExtractorError(
                f"{config.loads} returns the same module for every GPU; let it make a new one at each call",
                code="network.one-module",
                network=config.loads,
            )
        view = config.view
        return [view_of(extractor, view) for extractor in extractors] if view else extractors
    except ExtractorError as error:
        # A network may serve several extractors, so its own error does not name one of them.
        facts = {**error.facts, "extractor": config.name}
        raise ExtractorError(f"extractor {config.name}: {error}", code=error.code, **facts) from error
