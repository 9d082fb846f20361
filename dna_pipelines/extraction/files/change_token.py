"""The change token of an extractor: a hash that changes whenever the extractor may have changed.

A run compares it with the token of the last DNA and loads the network only if they differ. (Records of the lake
keep it in the field `stamp`.) Does not import torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import invalidate_caches
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path

import dna_pipelines
from dna_pipelines.config import ExtractorConfig
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.files.catalogue import KNOWN
from dna_pipelines.extraction.files.hub import Repository
from dna_pipelines.extraction.files.model_folder import ModelFolder
from dna_pipelines.extraction.files.weight_files import SUFFIXES, Published, present, state_of_files, timm_weights
from dna_pipelines.identity import stable_hash

GROUP = "dna_pipelines.extractors"
"""The group of entry points by which other packages add networks: functions that return a `Network`."""


def extractor_names() -> list[str]:
    """Every network that has a name. Others have a location: `hf:`, `timm:`, `local:` or `MODULE:FUNCTION`."""
    return sorted({*KNOWN, *entry_point_extractors()})


@cache
def entry_point_extractors() -> dict[str, EntryPoint]:
    """The entry points of other packages, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def extractor_change_token(config: ExtractorConfig) -> str:
    """A hash of the settings, the versions of libraries and the state of the files that the network is loaded from."""
    facts = [*_versions(), *network_state(config.loads, config.root)]
    facts += [config.loads, *config.layers, config.tokens, config.precision]
    facts += [config.view.name] if config.view else []
    if config.ranges:
        file = config.root / os.path.expanduser(config.ranges)
        facts += [config.ranges, *state_of_files([file] if file.is_file() else [])]
    return stable_hash([*facts, config.name, config.batch_size, config.device])


@cache
def _versions() -> tuple[str, ...]:
    return (dna_pipelines.__version__, version("torch"), version("pillow"), version("simplejpeg"), version("numpy"))


def network_state(network: str, root: Path) -> list[str]:
    """Strings that change whenever the files of a network, or the library that builds it, change."""
    if known := KNOWN.get(network):
        return _weights_state(known.published, root) if known.published else []
    if point := entry_point_extractors().get(network):
        return [point.value, *_module_state(point.module, root)]
    kind, colon, location = network.partition(":")
    try:
        if colon:
            return _STATES[kind](location, root) if kind in _STATES else _module_state(kind, root)
    # Loading the network reports the error.
    except (ExtractorError, OSError, RuntimeError):
        pass
    return []


@contextmanager
def importable(root: Path) -> Iterator[None]:
    """Make the modules in a project's folder importable in a `with` block; installed modules come first."""
    folder = str(root.resolve())
    sys.path.append(folder)
    # The import system caches folder listings and would overlook a module that has just been written.
    invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def _hub_state(location: str, _root: Path) -> list[str]:
    cached = Repository.parse(location).cached()
    return [_version("transformers"), *(_folder_state(cached) if cached else [])]


_STATES: dict[str, Callable[[str, Path], list[str]]] = {
    "hf": _hub_state,
    "local": lambda location, root: [
        _version("transformers"),
        *_folder_state(ModelFolder(root / os.path.expanduser(location))),
    ],
    "timm": lambda location, root: [_version("timm"), *_weights_state(timm_weights(location), root)],
}
"""By kind of location: the state of the network there."""


def _weights_state(published: Published, root: Path) -> list[str]:
    path = present(published, root)
    return state_of_files([path] if path else [])


def _folder_state(folder: ModelFolder) -> list[str]:
    configs = (folder.path / name for name in ("config.json", "preprocessor_config.json", "processor_config.json"))
    return [
        str(folder.path),
        *state_of_files([*folder.weight_files(), *(path for path in configs if path.is_file())]),
    ]


_NEEDS = {"hf": ("transformers", "hf"), "local": ("transformers", "hf"), "timm": ("timm", "timm")}
"""By kind of location: the package that builds its networks, and the extra that installs that package."""


def require_library(network: str) -> None:
    """Refuse a network whose library is not installed; imports nothing.

    Raises:
        ExtractorError: `network.extra-missing`, with the package and the extra that installs it.
    """
    package, extra = _NEEDS.get(network.partition(":")[0], ("", ""))
    if package and find_spec(package) is None:
        raise ExtractorError(
            f"{network} needs an extra: pip install 'dna_pipelines[{extra}]'",
            code="network.extra-missing",
            network=network,
            package=package,
            extra=extra,
        )


def require_module(name: str, root: Path) -> None:
    """Refuse a location that is not MODULE:FUNCTION, or whose module does not exist; imports nothing.

    Raises:
        ExtractorError: `network.location` or `network.module-missing`.
    """
    kinds = ", ".join(f"{kind}:…" for kind in _STATES)
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise ExtractorError(
            f"'{name}' is not a location of a network; write one of {kinds} or MODULE:FUNCTION",
            code="network.location",
            location=name,
        )
    if _package(module, root) is None:
        raise ExtractorError(
            f"'{name}' is not one of {kinds}, and there is no module {module}, neither installed nor in "
            f"{root.resolve()}; install it or put it there",
            code="network.module-missing",
            network=name,
            module=module,
            folder=str(root.resolve()),
        )


def _package(module: str, root: Path) -> ModuleSpec | None:
    """The spec of a module's outermost package (or of the module itself), located without importing anything."""
    try:
        with importable(root):
            return find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return None


def _module_state(module: str, root: Path) -> list[str]:
    """The state of the files that a module may import or load.

    These are the files of its package; for a module in the project's folder, all modules and weights there.
    """
    spec = _package(module, root)
    if spec is None:
        return []
    root = root.resolve()
    packages = [Path(folder) for folder in spec.submodule_search_locations or ()]
    file = Path(spec.origin or "")
    paths = {path for folder in packages for path in folder.rglob("*.py")}
    if file.is_file():
        paths.add(file)
    if root in {file.resolve().parent, *(package.resolve().parent for package in packages)}:
        paths |= set(_importable_files(root))
    return state_of_files(sorted(paths))


def _importable_files(root: Path) -> Iterator[Path]:
    """Modules in a folder and in its packages, and the weights beside them; other folders may be full of images."""
    for folder, subfolders, names in os.walk(root):
        paths = (Path(folder, name) for name in names if name.endswith((".py", *SUFFIXES)))
        # Editors leave dangling links as locks.
        yield from (path for path in paths if path.is_file())
        subfolders[:] = [name for name in subfolders if os.path.isfile(os.path.join(folder, name, "__init__.py"))]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
