"""Files of weights: where they are looked for, their digest, and what is said when they are missing.

Weights are never downloaded from an address; only the Hugging Face hub's own client fetches, and
only what is not in its cache. torch is not needed here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.files.hub import cached_file, fetched_file

SUFFIXES = (".safetensors", ".pth", ".pt")
"""Of files of weights."""


@dataclass(frozen=True)
class Published:
    """Where somebody published the weights of a network.

    Attributes:
        name: what the file is called in a folder of weights.
        hub_repo, hub_file: where it is on the Hugging Face hub, if it is there.
        url: where else it can be had.
    """

    name: str
    hub_repo: str = ""
    hub_file: str = ""
    url: str = ""

    @property
    def origin(self) -> str:
        """Where to get the file."""
        return self.url or f"https://huggingface.co/{self.hub_repo}/resolve/main/{self.hub_file}"


def weight_folders(root: Path) -> list[Path]:
    """Where files of weights are put: the folder DNA_WEIGHTS names, and the project's `data/weights`."""
    named = os.environ.get("DNA_WEIGHTS")
    return [*([Path(named).expanduser()] if named else []), root / "data" / "weights"]


def present(published: Published, root: Path) -> Path | None:
    """The file of weights where it is on this machine, without asking the network.

    Besides the folders of weights: what torch.hub or the Hugging Face hub's client has fetched before,
    for example for the reference implementation.
    """
    for folder in weight_folders(root):
        for suffix in SUFFIXES:
            if (path := folder / f"{published.name}{suffix}").is_file():
                return path
    if published.hub_repo:
        return cached_file(published.hub_repo, published.hub_file)
    fetched = _torch_hub() / "checkpoints" / published.url.rpartition("/")[2]
    return fetched if fetched.is_file() else None


def built_in_weights(name: str) -> Path:
    """The weights that came with the package.

    Raises:
        ExtractorError: when the installation lacks them.
    """
    path = Path(str(files("dna_pipelines.extraction"))) / "weights" / f"{name}.safetensors"
    if not path.is_file():
        raise ExtractorError(f"the weights of {name} are missing from this installation ({path}); install it again")
    return path


def required(published: Published, root: Path) -> Path:
    """The file of weights, fetched from the Hugging Face hub if it is published there.

    Raises:
        ExtractorError: saying which file is expected, and where to put it.
    """
    if found := present(published, root):
        return found
    why = ""
    if published.hub_repo:
        try:
            return fetched_file(published.hub_repo, published.hub_file)
        except ExtractorError as error:
            why = f"\n({error})"
    raise ExtractorError(
        f"the weights of {published.name} are not on this machine; {where_to_put(published, root)}{why}"
    )


def timm_weights(name: str) -> Published:
    """Where timm publishes a network's weights."""
    return Published(name, f"timm/{name}", hub_file="model.safetensors")


def where_to_put(published: Published, root: Path) -> str:
    """What to do about missing weights."""
    suffix = Path(published.origin).suffix
    return f"get {published.origin} and put it at {weight_folders(root)[0] / (published.name + suffix)}"


def digest_of_files(paths: Sequence[Path]) -> str:
    """The sha256 of a file of weights; of several, that of their names and digests."""
    if len(paths) == 1:
        return _digest(paths[0], *_state(paths[0]))
    lines = sorted(f"{path.name} {_digest(path, *_state(path))}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def state_of_files(paths: Sequence[Path]) -> list[str]:
    """What changes whenever a file does, without reading it."""
    return [f"{path.name} {' '.join(map(str, _state(path)))}" for path in paths]


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _torch_hub() -> Path:
    """Where torch.hub keeps what it fetched; its rule, so that torch need not be loaded."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))).expanduser() / "hub"
