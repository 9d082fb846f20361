"""The registry of networks: from a name or location in the datasets file to a probed extractor.

To add a network, write a function that returns a `Network`, and `register` it (or declare an entry point of the group
`dna_pipelines.extractors` in your package, or write MODULE:FUNCTION in the datasets file).
To add a kind of location, write a function of the text after the colon, and add a line to `_KINDS`.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from dna_pipelines.errors import UnknownName
from dna_pipelines.extraction.devices.numerics import EXACT
from dna_pipelines.extraction.extractor import Extractor, Network
from dna_pipelines.extraction.files.catalogue import REFERENCE
from dna_pipelines.extraction.files.change_token import (
    entry_point_extractors,
    extractor_names,
    network_state,
    require_library,
)
from dna_pipelines.extraction.files.hub import Repository
from dna_pipelines.extraction.files.model_folder import ModelFolder
from dna_pipelines.extraction.loading.own_networks import entry_point_network, own_network
from dna_pipelines.extraction.loading.timm_network import timm_network
from dna_pipelines.extraction.loading.transformers_network import transformers_network
from dna_pipelines.extraction.networks.builtin import builtin
from dna_pipelines.extraction.networks.reference import reference_network
from dna_pipelines.extraction.networks.scattering import scattering
from dna_pipelines.extraction.networks.seeded import seeded_cnn, seeded_vit
from dna_pipelines.extraction.probing.layer_choice import chosen_taps, default_taps
from dna_pipelines.extraction.probing.probe import probe
from dna_pipelines.extraction.probing.tokens import Tokens

UNKNOWN_LICENCE = "unknown: see its model card"

_FACTORIES: dict[str, Callable[[], Network]] = {
    "builtin": builtin,
    "seeded_cnn": seeded_cnn,
    "seeded_vit": seeded_vit,
    "scattering": scattering,
}


def register(name: str, factory: Callable[[], Network]) -> None:
    """Register a network under a name, for this process."""
    _FACTORIES[name] = factory
    _loaded.cache_clear()


def load_extractor(
    name: str,
    *,
    batch_size: int = 32,
    device: str = "cpu",
    precision: str = EXACT,
    root: Path = Path(),
    layers: tuple[str, ...] = (),
    tokens: Tokens = "all",
) -> Extractor:
    """Build and probe a network. The result is cached until the files of the network change.

    Args:
        name: the name or location of the network; see `find_network`.
        batch_size: images in one pass.
        device: `cpu`, or one GPU, such as `cuda:0`.
        precision: `float32` or `fast`.
        root: the project's folder.
        layers: names or patterns of the modules to tap; the network's own layers if empty.
        tokens: which tokens of a transformer count.

    Raises:
        UnknownName: `name.network`, with the closest known name.
        ExtractorError: when the network cannot be loaded or cannot serve as an extractor.

    Examples:
        >>> extractor = load_extractor("seeded_cnn", batch_size=8)
        >>> extractor.layers.names
        ['stage1', 'stage2', 'stage3', 'stage4']
        >>> extractor.layers.n_neurons
        208
    """
    return _loaded(name, batch_size, device, precision, root, layers, tokens, tuple(network_state(name, root)))


@lru_cache(maxsize=16)
def _loaded(
    name: str,
    batch_size: int,
    device: str,
    precision: str,
    root: Path,
    layers: tuple[str, ...],
    tokens: Tokens,
    _state: tuple[str, ...],
) -> Extractor:
    network = with_layers(find_network(name, root), layers)
    return probe(network, batch_size=batch_size, device=device, precision=precision, tokens=tokens)


def find_network(name: str, root: Path) -> Network:
    """The network with a registered name, or at a location: `hf:`, `timm:`, `local:`, `MODULE:FUNCTION`.

    Raises:
        UnknownName: `name.network`, with the closest known name.
        ExtractorError: when it cannot be loaded.
    """
    return builder_of(name, root)()


def builder_of(name: str, root: Path) -> Callable[[], Network]:
    """The function that loads a network; nothing is loaded before you call it.

    Raises:
        UnknownName: `name.network`, with the closest known name.
        ExtractorError: `network.extra-missing` when its library is not installed.
    """
    if factory := _FACTORIES.get(name):
        return factory
    if name in {known.name for known in REFERENCE}:
        return partial(reference_network, name, root)
    if point := entry_point_extractors().get(name):
        return partial(entry_point_network, point)
    kind, colon, location = name.partition(":")
    if colon and kind in _KINDS:
        require_library(name)
        return partial(_KINDS[kind], location, root)
    if colon:
        return partial(own_network, kind, location, root)
    known = sorted({*_FACTORIES, *extractor_names()})
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known networks: {', '.join(known)}"
    raise UnknownName(f"there is no network '{name}'; {hint}", code="name.network", name=name, close=close, known=known)


def with_layers(network: Network, layers: tuple[str, ...]) -> Network:
    """The network with the chosen layers; if none are chosen, with its author's; without those, with its blocks."""
    if network.taps and not layers:
        return network
    module, size_px = network.module, network.preprocessing.size_px
    if layers:
        taps = chosen_taps(module, size_px, layers, network.label)
    else:
        taps = default_taps(module, size_px, network.label)
    return dataclasses.replace(network, taps=taps)


def _from_hub(location: str, _root: Path) -> Network:
    repository = Repository.parse(location)
    folder = repository.folder()
    licence = folder.licence() or f"{UNKNOWN_LICENCE} ({repository.card})"
    # The hub's cache names folders after commits, so the label says which commit a branch meant.
    return transformers_network(folder, f"hf:{repository.repo}@{folder.path.name}", licence)


def _from_folder(location: str, root: Path) -> Network:
    folder = ModelFolder(root / os.path.expanduser(location))
    return transformers_network(folder, f"local:{location}", folder.licence() or UNKNOWN_LICENCE)


_KINDS: dict[str, Callable[[str, Path], Network]] = {"hf": _from_hub, "timm": timm_network, "local": _from_folder}
