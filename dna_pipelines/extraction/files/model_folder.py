"""A folder in the layout of transformers: `config.json`, `preprocessor_config.json`, safetensors, a model card.

Reads what the files say without loading the network. Does not import torch.
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
"""Keys of config.json that do not influence the outputs of any module."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder that holds one network."""

    path: Path

    def config(self) -> dict[str, Any]:
        """The contents of config.json.

        Raises:
            ExtractorError: `network.folder` when it is missing, `network.config` when it is not a JSON object.
        """
        return self._json("config.json")

    def decisive_config(self) -> dict[str, Any]:
        """The part of config.json that influences the outputs."""
        return {key: value for key, value in self.config().items() if key not in _COSMETIC}

    def processor(self) -> tuple[str, dict[str, Any]]:
        """The name of the file that describes the preprocessing, and its contents in the format of transformers.

        Raises:
            ExtractorError: `network.folder` when there is none.
        """
        name = "preprocessor_config.json"
        if (self.path / name).is_file():
            return name, self._json(name)
        if (self.path / (name := "processor_config.json")).is_file():
            processor = self._json(name).get("image_processor")
            if isinstance(processor, dict):
                return name, processor
        raise ExtractorError(
            f"{self.path} has no preprocessor_config.json, so it is unknown how images are resized and normalised; "
            "copy that file from where the weights come from",
            code="network.folder",
            folder=str(self.path),
            missing=["preprocessor_config.json"],
        )

    def weight_files(self) -> list[Path]:
        """The files of its weights.

        Raises:
            ExtractorError: `network.folder` when there are none, or not all of them.
        """
        self._require_folder()
        if (single := self.path / "model.safetensors").is_file():
            return [single]
        if (self.path / "model.safetensors.index.json").is_file():
            names = sorted(set(self._json("model.safetensors.index.json").get("weight_map", {}).values()))
            files = [self.path / str(name) for name in names]
            if absent := [path.name for path in files if not path.is_file()]:
                raise ExtractorError(
                    f"{self.path} lacks {', '.join(absent)}, which its index of weights names; copy them there",
                    code="network.folder",
                    folder=str(self.path),
                    missing=absent,
                )
            if files:
                return files
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in self.path.glob(pattern))
        also = f" (it has {', '.join(pickles)}, but pickles can run code and are not loaded)" if pickles else ""
        raise ExtractorError(
            f"{self.path} has no model.safetensors{also}; put it there",
            code="network.folder",
            folder=str(self.path),
            missing=["model.safetensors"],
            pickles=pickles,
        )

    def licence(self) -> str | None:
        """The licence in the front matter of the model card; None without a card or such an entry."""
        try:
            text = (self.path / "README.md").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        _, _, rest = text.partition("---\n")
        head, closing, _ = rest.partition("\n---")
        if not text.startswith("---\n") or not closing:
            return None
        try:
            entries = YAML(typ="safe").load(head)
        except YAMLError:
            return None
        licence = entries.get("license_name") or entries.get("license") if isinstance(entries, dict) else None
        return str(licence) if licence else None

    def _require_folder(self) -> None:
        if not self.path.is_dir():
            raise ExtractorError(
                f"{self.path} is not a folder; create it and put config.json and model.safetensors there",
                code="network.folder",
                folder=str(self.path),
                missing=["config.json", "model.safetensors"],
            )

    def _json(self, name: str) -> dict[str, Any]:
        self._require_folder()
        path = self.path / name
        try:
            contents = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ExtractorError(
                f"{self.path} has no {name}; use a folder in the layout of transformers",
                code="network.folder",
                folder=str(self.path),
                missing=[name],
            ) from error
        except (OSError, ValueError) as error:
            raise ExtractorError(f"{path} cannot be read: {error}", code="network.config", file=str(path)) from error
        if not isinstance(contents, dict):
            raise ExtractorError(f"{path} is not a JSON object", code="network.config", file=str(path))
        return contents
