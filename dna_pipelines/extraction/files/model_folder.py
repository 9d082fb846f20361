"""A folder in the layout of transformers: `config.json`, `preprocessor_config.json`, safetensors, a model card.

What it says without loading the network; torch is not needed here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dna_pipelines.errors import ExtractorError

_COSMETIC = frozenset(
    {
        "_commit_hash", "_name_or_path", "architectures", "auto_map", "dtype", "finetuning_task", "id2label",
        "label2id", "problem_type", "torch_dtype", "transformers_version",
    }
)  # fmt: skip
"""Keys of config.json that do not decide what comes out of a module."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder of one network."""

    path: Path

    def config(self) -> dict[str, Any]:
        """What config.json says.

        Raises:
            ExtractorError: when it is missing or no JSON.
        """
        return self._json("config.json")

    def decisive_config(self) -> dict[str, Any]:
        """The part of config.json that decides what comes out."""
        return {key: value for key, value in self.config().items() if key not in _COSMETIC}

    def processor(self) -> tuple[str, dict[str, Any]]:
        """How images are to be prepared, as transformers writes it, and the file that says so."""
        name = "preprocessor_config.json"
        if (self.path / name).is_file():
            return name, self._json(name)
        if (self.path / (name := "processor_config.json")).is_file():
            found = self._json(name).get("image_processor")
            if isinstance(found, dict):
                return name, found
        raise ExtractorError(
            f"{self.path} has no preprocessor_config.json, so how its images are to be resized and normalised is "
            "not known; take it from where the weights come from"
        )

    def weight_files(self) -> list[Path]:
        """The files of its weights.

        Raises:
            ExtractorError: when there are none, or not all of them.
        """
        self._require_folder()
        if (single := self.path / "model.safetensors").is_file():
            return [single]
        if (self.path / "model.safetensors.index.json").is_file():
            names = sorted(set(self._json("model.safetensors.index.json").get("weight_map", {}).values()))
            files = [self.path / str(name) for name in names]
            if absent := [path.name for path in files if not path.is_file()]:
                raise ExtractorError(f"{self.path} lacks {', '.join(absent)}, which its index of weights names")
            if files:
                return files
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in self.path.glob(pattern))
        also = f" (there is {', '.join(pickles)}: pickles can run code and are not loaded)" if pickles else ""
        raise ExtractorError(f"{self.path} has no model.safetensors{also}; put it there")

    def licence(self) -> str | None:
        """What the model card's head says the licence is; None where there is no card or it says nothing."""
        try:
            text = (self.path / "README.md").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        _, _, rest = text.partition("---\n")
        head, closing, _ = rest.partition("\n---")
        if not text.startswith("---\n") or not closing:
            return None
        try:
            facts = YAML(typ="safe").load(head)
        except YAMLError:
            return None
        found = facts.get("license_name") or facts.get("license") if isinstance(facts, dict) else None
        return str(found) if found else None

    def _require_folder(self) -> None:
        if not self.path.is_dir():
            raise ExtractorError(f"{self.path} is not a folder; put config.json and model.safetensors there")

    def _json(self, name: str) -> dict[str, Any]:
        self._require_folder()
        path = self.path / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ExtractorError(
                f"{self.path} has no {name}; it is not a folder in the layout of transformers"
            ) from error
        except (OSError, ValueError) as error:
            raise ExtractorError(f"{path} cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise ExtractorError(f"{path} is no JSON object")
        return found
