"""The Hugging Face hub: its cache first, its client only for what is not there.

Needs the package `huggingface_hub`, which comes with the extra `hf`. torch is not needed here.
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
"""Never a pickle, and no code."""

_PATIENCE_S = 10
"""How long the hub may take to answer."""


@dataclass(frozen=True)
class Repository:
    """A repository of the hub at a revision: a branch, a tag or a commit."""

    repo: str
    revision: str = "main"

    @staticmethod
    def parse(text: str) -> Repository:
        """From ORG/REPO or ORG/REPO@REVISION.

        Raises:
            ExtractorError: when it is neither.
        """
        match = _REPO.fullmatch(text)
        if match is None:
            raise ExtractorError(f"'hf:{text}' is no repository; write hf:ORG/REPO or hf:ORG/REPO@REVISION")
        return Repository(match["repo"], match["revision"] or "main")

    def cached(self) -> ModelFolder | None:
        """The folder of its files, if its configuration and all its weights are in the cache."""
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
        """The folder of its files, fetched if they are not in the cache.

        Raises:
            ExtractorError: when they are neither here nor to be had, saying where they are expected.
        """
        if found := self.cached():
            return found
        hub = _client()
        try:
            _reach(hub, self.repo, "config.json", self.revision)
            cache = cache_folder(self.repo).parent
            found = hub.snapshot_download(self.repo, revision=self.revision, cache_dir=cache, allow_patterns=_WANTED)
        # Whatever stands between here and the hub, the person needs to know the same.
        except Exception as error:
            raise ExtractorError(self.missing(error)) from error
        folder = ModelFolder(Path(found))
        try:
            folder.weight_files()
        except ExtractorError as error:
            raise ExtractorError(
                f"{self.repo} at {self.revision} publishes no model.safetensors, and pickles, which can run code, are "
                "not loaded; save it as safetensors (`save_pretrained` in transformers) and use local:FOLDER"
            ) from error
        return folder

    def missing(self, error: BaseException | None = None) -> str:
        """What is missing, and where to put it."""
        why = f"; it could not be fetched ({type(error).__name__}: {_first_line(error)})" if error else ""
        return (
            f"{self.repo} at {self.revision} is not in the Hugging Face cache{why}. On a machine with a connection run "
            f"`hf download {self.repo} --revision {self.revision}` and copy {cache_folder(self.repo)} here, or put "
            "config.json, preprocessor_config.json and model.safetensors into a folder and use local:FOLDER"
        )

    @property
    def card(self) -> str:
        """Where its model card is."""
        return f"https://huggingface.co/{self.repo}"


def cache_folder(repo: str) -> Path:
    """Where the hub's client keeps a repository; its rule, so that it need not be installed to be told."""
    home = os.environ.get("HF_HOME", os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"))
    cache = os.environ.get("HF_HUB_CACHE", os.path.join(home, "hub"))
    return Path(cache).expanduser() / f"models--{repo.replace('/', '--')}"


def cached_file(repo: str, file: str, revision: str = "main") -> Path | None:
    """A file of a repository, if the cache has it; nothing is asked of the network."""
    if not (folder := cache_folder(repo)).is_dir() or find_spec("huggingface_hub") is None:
        return None
    found = _client().try_to_load_from_cache(repo, file, revision=revision, cache_dir=folder.parent)
    return Path(found) if isinstance(found, str) else None


def fetched_file(repo: str, file: str) -> Path:
    """A file of a repository, fetched.

    Raises:
        ExtractorError: when it cannot be.
    """
    hub = _client()
    try:
        _reach(hub, repo, file, "main")
        return Path(hub.hf_hub_download(repo, file, cache_dir=cache_folder(repo).parent))
    except Exception as error:
        raise ExtractorError(f"it could not be fetched: {type(error).__name__}: {_first_line(error)}") from error


def _reach(hub: Any, repo: str, file: str, revision: str) -> None:
    """Ask for a file once, because downloads try for a minute where there is no connection."""
    hub.get_hf_file_metadata(hub.hf_hub_url(repo, file, revision=revision), timeout=_PATIENCE_S)


def _client() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ExtractorError("the Hugging Face hub needs an extra: pip install 'dna_pipelines[hf]'") from error
    return huggingface_hub


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
