"""The registry of extractors: from what the datasets file says to a probed network.

To add a network: a function that returns a `Network`, and `register` (or an entry point of the group
`dna_pipelines.extractors` in a package of your own, or MODULE:FUNCTION in the datasets file).
To add a kind of place networks come from: a function from what stands behind the colon, and a line in `_KINDS`.
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
    require_library,
    traces,
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
from dna_pipelines.extraction.probing.probe import Tokens, probe

UNKNOWN_LICENCE = "unknown: see its model card"

_FACTORIES: dict[str, Callable[[], Network]] = {
    "builtin": builtin,
    "seeded_cnn": seeded_cnn,
    "seeded_vit": seeded_vit,
    "scattering": scattering,
}


def register(name: str, factory: Callable[[], Network]) -> None:
    """Make a network known in this process under a name."""
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
    """Build and probe a network; kept for the next call, while its files stay as they are.

    Args:
        name: what is loaded; see `find_network`.
        batch_size: images in one pass.
        device: `cpu`, or one GPU, such as `cuda:0`.
        precision: `float32` or `fast`.
        root: the project's folder.
        layers: modules to tap, or patterns of them; the network's own where empty.
        tokens: which tokens of a transformer count.

    Raises:
        UnknownName: listing the names there are.
        ExtractorError: when the network cannot serve.
    """
    return _loaded(name, batch_size, device, precision, root, layers, tokens, tuple(traces(name, root)))


@lru_cache(maxsize=16)
def _loaded(
    name: str,
    batch_size: int,
    device: str,
    precision: str,
    root: Path,
    layers: tuple[str, ...],
    tokens: Tokens,
    _traces: tuple[str, ...],
) -> Extractor:
    network = with_layers(find_network(name, root), layers)
    return probe(network, batch_size=batch_size, device=device, precision=precision, tokens=tokens)


def find_network(name: str, root: Path) -> Network:
    """The network of a name that is known here, or of a place: `hf:`, `timm:`, `local:`, `MODULE:FUNCTION`.

    Raises:
        UnknownName: listing the names there are.
        ExtractorError: when it cannot be loaded.
    """
    return builder_of(name, root)()


def builder_of(name: str, root: Path) -> Callable[[], Network]:
    """What loads the network of a name; whether it can is only known afterwards.

    Raises:
        UnknownName: listing the names there are.
        ExtractorError: when its library is not installed.
    """
    if factory := _FACTORIES.get(name):
        return factory
    if name in {known.name for known in REFERENCE}:
        return partial(reference_network, name, root)
    if point := entry_point_extractors().get(name):
        return partial(entry_point_network, point)
    kind, colon, place = name.partition(":")
    if colon and kind in _KINDS:
        require_library(name)
        return partial(_KINDS[kind], place, root)
    if colon:
        return partial(own_network, kind, place, root)
    known = sorted({*_FACTORIES, *extractor_names()})
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(known)}"
    raise UnknownName(f"there is no extractor '{name}'; {hint}")


def with_layers(network: Network, layers: tuple[str, ...]) -> Network:
    """The network with the layers that somebody chose; its blocks where nobody did, nor its author."""
    if network.taps and not layers:
        return network
    module, size_px = network.module, network.preprocessing.size_px
    if layers:
        taps = chosen_taps(module, size_px, layers, network.label)
    else:
        taps = default_taps(module, size_px, network.label)
    return dataclasses.replace(network, taps=taps)


def _from_hub(place: str, _root: Path) -> Network:
    repository = Repository.parse(place)
    folder = repository.folder()
    licence = folder.licence() or f"{UNKNOWN_LICENCE} ({repository.card})"
    # In the hub's cache the folder is called after the commit, so that people see what a branch meant.
    return transformers_network(folder, f"hf:{repository.repo}@{folder.path.name}", licence)


def _folder(place: str, root: Path) -> ModelFolder:
    return ModelFolder(root / os.path.expanduser(place))


def _from_folder(place: str, root: Path) -> Network:
    folder = _folder(place, root)
    return transformers_network(folder, f"local:{place}", folder.licence() or UNKNOWN_LICENCE)


_KINDS: dict[str, Callable[[str, Path], Network]] = {"hf": _from_hub, "timm": timm_network, "local": _from_folder}
