"""What an extractor's code and settings look like from outside, without loading torch.

The stamp changes whenever the extractor may have; only then is the network loaded to see.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path

import dna_pipelines
from dna_pipelines.config import ExtractorConfig
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.catalogue import KNOWN
from dna_pipelines.extraction.hub import Repository
from dna_pipelines.extraction.model_folder import ModelFolder
from dna_pipelines.extraction.weights import Published, present, state_of_files, timm_weights
from dna_pipelines.identity import stable_hash

GROUP = "dna_pipelines.extractors"
"""Entry points of this group are extractors too: functions that return a `Network`."""


def extractor_names() -> list[str]:
    """Every name of a network; besides, there are the places `hf:`, `timm:`, `local:` and `MODULE:FUNCTION`."""
    return sorted({*KNOWN, *entry_point_extractors()})


@cache
def entry_point_extractors() -> dict[str, EntryPoint]:
    """Extractors of other packages."""
    return {point.name: point for point in entry_points(group=GROUP)}


def extractor_stamp(config: ExtractorConfig) -> str:
    """A hash over versions, settings and the state of what the network is loaded from."""
    facts = [*_versions(), *traces(config.loads, config.root)]
    facts += [config.loads, *config.layers, config.tokens, config.precision]
    if config.ranges:
        facts.append(config.ranges)
    return stable_hash([*facts, config.name, config.batch_size, config.device])


@cache
def _versions() -> tuple[str, ...]:
    return (dna_pipelines.__version__, version("torch"), version("pillow"), version("simplejpeg"), version("numpy"))


def traces(network: str, root: Path) -> list[str]:
    """What changes whenever the files of a network, or the library that builds it, do."""
    if known := KNOWN.get(network):
        return _weights_state(known.published, root) if known.published else []
    if point := entry_point_extractors().get(network):
        return [point.value, *_module_state(point.module, root)]
    kind, colon, place = network.partition(":")
    try:
        if colon:
            return _TRACES[kind](place, root) if kind in _TRACES else _module_state(kind, root)
    # Loading it will say what is wrong.
    except ExtractorError:
        pass
    return []


def _hub_state(place: str, _root: Path) -> list[str]:
    cached = Repository.parse(place).cached()
    return [_version("transformers"), *(_folder_state(cached) if cached else [])]


_TRACES: dict[str, Callable[[str, Path], list[str]]] = {
    "hf": _hub_state,
    "local": lambda place, root: [
        _version("transformers"),
        *_folder_state(ModelFolder(root / Path(place).expanduser())),
    ],
    "timm": lambda place, root: [_version("timm"), *_weights_state(timm_weights(place), root)],
}


def _weights_state(published: Published, root: Path) -> list[str]:
    path = present(published, root)
    return state_of_files([path] if path else [])


def _folder_state(folder: ModelFolder) -> list[str]:
    described = (folder.path / name for name in ("config.json", "preprocessor_config.json", "processor_config.json"))
    return [
        str(folder.path),
        *state_of_files([*folder.weight_files(), *(path for path in described if path.is_file())]),
    ]


def _module_state(module: str, root: Path) -> list[str]:
    own = root.joinpath(*module.split(".")).with_suffix(".py")
    try:
        spec = None if own.is_file() else find_spec(module)
    except (ImportError, ValueError):
        return []
    origin = Path(spec.origin) if spec and spec.origin else own
    return state_of_files([origin]) if origin.is_file() else []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
