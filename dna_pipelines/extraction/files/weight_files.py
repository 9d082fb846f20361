"""Weight files: where the package looks for them, their digest, and what to do when they are missing.

Only the Hugging Face hub's own client downloads weights, and only those that its cache lacks; nothing is
downloaded from other addresses. Does not import torch.
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
"""The suffixes of weight files."""


@dataclass(frozen=True)
class Published:
    """Where the weights of a network are published.

    Attributes:
        name: the name of the file, without its suffix, in a folder of weights.
        hub_repo, hub_file: repository and file on the Hugging Face hub; empty if it is not published there.
        url: its address elsewhere.
    """

    name: str
    hub_repo: str = ""
    hub_file: str = ""
    url: str = ""

    @property
    def origin(self) -> str:
        """The address of the file."""
        return self.url or f"https://huggingface.co/{self.hub_repo}/resolve/main/{self.hub_file}"


def weight_folders(root: Path) -> list[Path]:
    """The folders of weights: the one that DNA_WEIGHTS names, and the project's `data/weights`."""
    configured = os.environ.get("DNA_WEIGHTS")
    return [*([Path(configured).expanduser()] if configured else []), root / "data" / "weights"]


def present(published: Published, root: Path) -> Path | None:
    """The weight file if it is on this machine, else None; makes no connection.

    Looks in the folders of weights, then in the caches of torch.hub and of the Hugging Face hub's client,
    where the reference implementation, for example, leaves what it downloads.
    """
    for folder in weight_folders(root):
        for suffix in SUFFIXES:
            if (path := folder / f"{published.name}{suffix}").is_file():
                return path
    if published.hub_repo:
        return cached_file(published.hub_repo, published.hub_file)
    downloaded = _torch_hub() / "checkpoints" / published.url.rpartition("/")[2]
    return downloaded if downloaded.is_file() else None


def built_in_weights(name: str) -> Path:
    """The weights that come with the package.

    Raises:
        ExtractorError: `network.installation` when the installation lacks them.
    """
    path = Path(str(files("dna_pipelines.extraction"))) / "weights" / f"{name}.safetensors"
    if not path.is_file():
        raise ExtractorError(
            f"this installation lacks the weights of {name} ({path}); reinstall dna_pipelines",
            code="network.installation",
            network=name,
            file=str(path),
        )
    return path


def required(published: Published, root: Path) -> Path:
    """The weight file, downloaded if it is published on the Hugging Face hub.

    Raises:
        ExtractorError: `network.weights-missing`, with the address of the file and the path where it is expected.
    """
    if path := present(published, root):
        return path
    why, download = "", None
    if published.hub_repo:
        try:
            return fetched_file(published.hub_repo, published.hub_file)
        except ExtractorError as error:
            why, download = f"\n({error})", error.code
    raise ExtractorError(
        f"the weights of {published.name} are not on this machine; {where_to_put(published, root)}{why}",
        code="network.weights-missing",
        network=published.name,
        url=published.origin,
        file=str(_expected(published, root)),
        download=download,
    )


def timm_weights(name: str) -> Published:
    """Where timm publishes a network's weights."""
    return Published(name, f"timm/{name}", hub_file="model.safetensors")


def where_to_put(published: Published, root: Path) -> str:
    """The instruction for missing weights."""
    return f"download {published.origin} and put it at {_expected(published, root)}"


def _expected(published: Published, root: Path) -> Path:
    return weight_folders(root)[0] / (published.name + Path(published.origin).suffix)


def digest_of_files(paths: Sequence[Path]) -> str:
    """The sha256 of a weight file in hexadecimal; for several files, that of their names and digests.

    A file is read again only when its size or modification time changes.
    """
    if len(paths) == 1:
        return _digest(paths[0], *_state(paths[0]))
    lines = sorted(f"{path.name} {_digest(path, *_state(path))}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def state_of_files(paths: Sequence[Path]) -> list[str]:
    """Name, size and modification time of each file: they change when the file does, and reading it is not needed."""
    return [f"{path.name} {' '.join(map(str, _state(path)))}" for path in paths]


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _torch_hub() -> Path:
    """Where torch.hub keeps its downloads, by its own rule, so that torch need not be imported."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))).expanduser() / "hub"
