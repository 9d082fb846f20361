"""Repositories of the Hugging Face hub: read from its cache, and downloaded only when the cache lacks them.

Needs the package `huggingface_hub`, which the extra `hf` installs. Does not import torch.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.files.model_folder import ModelFolder

_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")

_WANTED = [
    "config.json", "preprocessor_config.json", "processor_config.json", "README.md",
    "model.safetensors", "model-*.safetensors", "model.safetensors.index.json",
]  # fmt: skip
"""Files to download: no pickles and no code."""

_TIMEOUT_S = 10
"""How long to wait for the hub's answer."""


@dataclass(frozen=True)
class Repository:
    """A repository of the hub at a revision: a branch, a tag or a commit."""

    repo: str
    revision: str = "main"

    @staticmethod
    def parse(text: str) -> Repository:
        """Parse ORG/REPO or ORG/REPO@REVISION.

        Raises:
            ExtractorError: `network.location` when the text is neither.
        """
        match = _REPO.fullmatch(text)
        if match is None:
            raise ExtractorError(
                f"'hf:{text}' is not a repository; write hf:ORG/REPO or hf:ORG/REPO@REVISION",
                code="network.location",
                location=f"hf:{text}",
            )
        return Repository(match["repo"], match["revision"] or "main")

    def cached(self) -> ModelFolder | None:
        """The folder of its files, or None if the cache lacks its configuration or any of its weights."""
        config = cached_file(self.repo, "config.json", self.revision)
        if config is None:
            return None
        folder = ModelFolder(config.parent)
        try:
            folder.weight_files()
        except ExtractorError:
            return None
        return folder

    def folder(self) -> ModelFolder:
        """The folder of its files, downloaded if the cache lacks them.

        Raises:
            ExtractorError: `network.hub-unavailable` when the cache lacks the files and they cannot be downloaded,
                `network.unsafe-file` when the repository has no safetensors, `network.extra-missing` without
                `huggingface_hub`.
        """
        if cached := self.cached():
            return cached
        hub = _client()
        try:
            _reach(hub, self.repo, "config.json", self.revision)
            cache = cache_folder(self.repo).parent
            path = hub.snapshot_download(self.repo, revision=self.revision, cache_dir=cache, allow_patterns=_WANTED)
        # Proxies, certificates and the hub fail in many ways; the remedy is the same for all of them.
        except Exception as error:
            raise ExtractorError(
                self.missing(error),
                code="network.hub-unavailable",
                repo=self.repo,
                revision=self.revision,
                cache=str(cache_folder(self.repo)),
                error=type(error).__name__,
            ) from error
        folder = ModelFolder(Path(path))
        try:
            folder.weight_files()
        except ExtractorError as error:
            raise ExtractorError(
                f"{self.repo} at {self.revision} publishes no model.safetensors. Pickles can run code and are not "
                "loaded; save the network as safetensors (`save_pretrained` in transformers) and use local:FOLDER",
                code="network.unsafe-file",
                repo=self.repo,
                revision=self.revision,
            ) from error
        return folder

    def missing(self, error: BaseException | None = None) -> str:
        """The message for a repository that is not in the cache: how to get it, and where to put it."""
        why = f" and could not be downloaded ({type(error).__name__}: {_first_line(error)})" if error else ""
        return (
            f"{self.repo} at {self.revision} is not in the Hugging Face cache{why}. On a machine with a connection run "
            f"`hf download {self.repo} --revision {self.revision}` and copy {cache_folder(self.repo)} to this machine, "
            "or put config.json, preprocessor_config.json and model.safetensors into a folder and use local:FOLDER"
        )

    @property
    def card(self) -> str:
        """The address of its model card."""
        return f"https://huggingface.co/{self.repo}"


def cache_folder(repo: str) -> Path:
    """Where the hub's client keeps a repository, by the client's own rule, so that it need not be installed."""
    home = os.environ.get("HF_HOME", os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"))
    cache = os.environ.get("HF_HUB_CACHE", os.path.join(home, "hub"))
    return Path(cache).expanduser() / f"models--{repo.replace('/', '--')}"


def cached_file(repo: str, file: str, revision: str = "main") -> Path | None:
    """A file of a repository, or None if the cache lacks it; makes no connection."""
    if not (folder := cache_folder(repo)).is_dir() or find_spec("huggingface_hub") is None:
        return None
    path = _client().try_to_load_from_cache(repo, file, revision=revision, cache_dir=folder.parent)
    return Path(path) if isinstance(path, str) else None


def fetched_file(repo: str, file: str) -> Path:
    """A file of a repository, downloaded.

    Raises:
        ExtractorError: `network.hub-unavailable` when it cannot be downloaded.
    """
    hub = _client()
    try:
        _reach(hub, repo, file, "main")
        return Path(hub.hf_hub_download(repo, file, cache_dir=cache_folder(repo).parent))
    except Exception as error:
        raise ExtractorError(
            f"{file} of {repo} could not be downloaded: {type(error).__name__}: {_first_line(error)}",
            code="network.hub-unavailable",
            repo=repo,
            revision="main",
            cache=str(cache_folder(repo)),
            error=type(error).__name__,
        ) from error


def _reach(hub: Any, repo: str, file: str, revision: str) -> None:
    """Ask for a file once: without a connection, downloads would retry for a minute."""
    hub.get_hf_file_metadata(hub.hf_hub_url(repo, file, revision=revision), timeout=_TIMEOUT_S)


def _client() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ExtractorError(
            "the Hugging Face hub needs an extra: pip install 'dna_pipelines[hf]'",
            code="network.extra-missing",
            package="huggingface_hub",
            extra="hf",
        ) from error
    return huggingface_hub


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
