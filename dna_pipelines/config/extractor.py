"""The entry of an extractor in the datasets file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, StringConstraints, field_validator, model_validator

from dna_pipelines.config.values import Count, Device, Name, Section, is_name, mistake
from dna_pipelines.config.views import View


class ExtractorConfig(Section):
    """One frozen network that measures fingerprints."""

    name: Name
    """Its name in files, assets and tables."""
    network: str | None = Field(default=None, min_length=1)
    """The network to load: a name that `dna extractors` lists, `hf:ORG/REPO[@REVISION]`, `timm:NAME`, `local:FOLDER` or
    `MODULE:FUNCTION`; by default the name itself."""
    layers: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    """Modules to tap, or patterns of them (`*` stays between two dots, `**` does not); the network's own by default."""
    tokens: Literal["all", "cls", "patch"] = "all"
    """Which tokens of a transformer count."""
    calibrate_on: tuple[Name, ...] = ()
    """Datasets that determine the activation ranges; empty means all that exist at that moment."""
    ranges: str | None = Field(default=None, min_length=1)
    """A file with the activation ranges, such as the reference's activation_ranges.json, instead of datasets."""
    calibration_images: Count = Field(default=512, ge=1)
    """Most images that the activation ranges are computed from."""
    batch_size: Count = Field(default=32, ge=1, le=4096)
    device: Device = "cpu"
    """`cpu`, `cuda` for all GPUs, or one of them, such as `cuda:1`."""
    precision: Literal["float32", "fast"] = "float32"
    """`fast` computes in bfloat16; such DNAs can only be compared with each other."""
    views: tuple[str, ...] = ()
    """`projected`, `whitened` or `spatial`, or with a number, such as `spatial4`; each is an extractor NAME.VIEW."""
    _root: Path = PrivateAttr(default=Path())
    _view: View | None = PrivateAttr(default=None)

    @property
    def identifier(self) -> str:
        """The name with letters, digits and `_` only, for Dagster's steps and groups."""
        return self.name.replace("-", "_").replace(".", "_")

    def model_post_init(self, context: Any) -> None:
        """Keep the project's folder, which is passed as the validation context."""
        if context:
            self._root = Path(context["root"])

    @property
    def root(self) -> Path:
        """The project's folder: relative paths of the network start there."""
        return self._root

    @property
    def loads(self) -> str:
        """The network to load."""
        return self.network or self.name

    @property
    def view(self) -> View | None:
        """What is measured instead of the layers' own neurons; None for the neurons themselves."""
        return self._view

    def viewed(self) -> tuple[ExtractorConfig, ...]:
        """The extractors of its views. They share everything except a file of ranges, which covers neurons only."""
        extractors = []
        for view in map(View.parse, self.views):
            own = {"name": f"{self.name}.{view.name}", "network": self.loads, "ranges": None, "views": ()}
            config = self.model_copy(update=own)
            config._view = view  # noqa: SLF001 (its own class)
            extractors.append(config)
        return tuple(extractors)

    @field_validator("layers")
    @classmethod
    def _some_layers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise mistake(
                "an empty list names no layer; remove `layers` to use the network's own choice", code="config.no-layers"
            )
        return value

    @field_validator("views")
    @classmethod
    def _known_views(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        seen: dict[View, str] = {}
        for text in value:
            view = View.parse(text)
            if view in seen:
                same = "" if text == seen[view] else f" ('{seen[view]}' is the same view)"
                raise mistake(
                    f"'{text}' is listed twice{same}", code="config.duplicate-view", view=text, first=seen[view]
                )
            seen[view] = text
        return value

    @model_validator(mode="after")
    def _views_have_names(self) -> ExtractorConfig:
        for view in map(View.parse, self.views):
            if not is_name(f"{self.name}.{view.name}"):
                raise mistake(
                    f"the view would be called '{self.name}.{view.name}', which is too long (at most 100 characters)",
                    code="config.view-name-too-long",
                    name=f"{self.name}.{view.name}",
                )
        return self

    @model_validator(mode="after")
    def _ranges_have_one_origin(self) -> ExtractorConfig:
        if self.ranges and self.calibrate_on:
            raise mistake(
                "activation ranges come either from a file (`ranges`) or from datasets (`calibrate_on`); remove one",
                code="config.ranges-twice",
            )
        return self
