"""What an extractor's code and settings look like from outside, without loading torch.

The stamp changes whenever the extractor may have; only then is the network loaded to see.
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
"""Entry points of this group are extractors too: functions that return a `Network`."""


def extractor_names() -> list[str]:
    """Every name of a network; besides, there are the places `hf:`, `timm:`, `local:` and `MODULE:FUNCTION`."""
    return sorted({*KNOWN, *entry_point_extractors()})


@cache
def entry_point_extractors() -> dict[str, EntryPoint]:
    """Extractors of other packages."""
    return {point.name: point for point in entry_points(group=GROUP)}


def extractor_change_token(config: ExtractorConfig) -> str:
    """A hash over versions, settings and the state of what the network is loaded from."""
    facts = [*_versions(), *traces(config.loads, config.root)]
    facts += [config.loads, *config.layers, config.tokens, config.precision]
    facts += [config.view.name] if config.view else []
    if config.ranges:
        file = config.root / os.path.expanduser(config.ranges)
        facts += [config.ranges, *state_of_files([file] if file.is_file() else [])]
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
    except (ExtractorError, OSError, RuntimeError):
        pass
    return []


@contextmanager
def importable(root: Path) -> Iterator[None]:
    """Modules in a project's folder can be imported in a `with` block; those that are installed come first."""
    folder = str(root.resolve())
    sys.path.append(folder)
    # A module that was written a moment ago is not missed.
    invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def _hub_state(place: str, _root: Path) -> list[str]:
    cached = Repository.parse(place).cached()
    return [_version("transformers"), *(_folder_state(cached) if cached else [])]


_TRACES: dict[str, Callable[[str, Path], list[str]]] = {
    "hf": _hub_state,
    "local": lambda place, root: [
        _version("transformers"),
        *_folder_state(ModelFolder(root / os.path.expanduser(place))),
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


_NEEDS = {"hf": ("transformers", "hf"), "local": ("transformers", "hf"), "timm": ("timm", "timm")}
"""By kind of place: the package that builds networks from there, and the extra that brings it."""


def require_library(network: str) -> None:
    """Refuse a network whose library is not installed; nothing is imported.

    Raises:
        ExtractorError: naming the extra that brings it.
    """
    package, extra = _NEEDS.get(network.partition(":")[0], ("", ""))
    if package and find_spec(package) is None:
        raise ExtractorError(f"{network} needs an extra: pip install 'dna_pipelines[{extra}]'")


def require_module(name: str, root: Path) -> None:
    """Refuse what is no MODULE:FUNCTION, or of a module that is not there; nothing is imported.

    Raises:
        ExtractorError: when it is.
    """
    kinds = ", ".join(f"{kind}:…" for kind in _TRACES)
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise ExtractorError(f"'{name}' is none of {kinds}, nor a MODULE:FUNCTION")
    if _package(module, root) is None:
        raise ExtractorError(
            f"'{name}' is none of {kinds}, and there is no module {module}, installed or in {root.resolve()}"
        )


def _package(module: str, root: Path) -> ModuleSpec | None:
    """The outermost package of a module, or the module itself, which are found without importing anything."""
    try:
        with importable(root):
            return find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return None


def _module_state(module: str, root: Path) -> list[str]:
    """Of whatever a module may import or load: the files of its package; of one in the project's folder, all there."""
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
    for folder, inside, names in os.walk(root):
        paths = (Path(folder, name) for name in names if name.endswith((".py", *SUFFIXES)))
        # Editors leave links to nothing.
        yield from (path for path in paths if path.is_file())
        inside[:] = [name for name in inside if os.path.isfile(os.path.join(folder, name, "__init__.py"))]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
