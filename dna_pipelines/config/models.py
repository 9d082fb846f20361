"""Typed models of the datasets file. Unknown keys are errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from fsspec.utils import glob_translate
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    field_validator,
    model_validator,
)

from dna_pipelines.config.values import Count, Device, Interval, Name, Share, Tags, is_name, mistake
from dna_pipelines.config.views import View

Kind = Literal["folder", "index", "zip", "tar", "parquet", "arrow"]
"""The kinds of location."""

SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "index": (".txt",),
    "zip": (".zip",),
    "tar": (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
    "parquet": (".parquet", ".parq"),
    "arrow": (".arrow", ".feather", ".ipc"),
}
"""The kind of a location by its suffix; without one of these it is a folder."""

_WITH_METADATA: tuple[Kind, ...] = ("tar", "parquet", "arrow")
"""Kinds that may hold metadata of their own."""


def kind_of_suffix(uri: str) -> Kind:
    """The kind that the suffix of a URI tells; a folder where it tells none."""
    return next((kind for kind, suffixes in SUFFIXES.items() if uri.lower().endswith(suffixes)), "folder")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MetadataConfig(_Strict):
    """A table beside the images (CSV, Parquet or JSON lines), joined by image path."""

    uri: str
    path_column: str = "path"
    columns: tuple[str, ...] = ()
    """Columns to keep with every image; empty keeps all of them."""


class ChecksConfig(_Strict):
    """Bounds that a dataset must keep. A dataset that breaks a blocking bound is not fingerprinted."""

    max_unreadable: Share = 0.1
    """Largest share of images that may be unreadable (blocking)."""
    max_clipped: Share = 0.05
    """Largest share of activations outside the calibrated ranges (blocking: such a DNA is compared with nothing)."""
    min_images: Count = Field(default=2, ge=0)
    """Fewest images (warns)."""
    min_groups: Count = Field(default=2, ge=0)
    """Fewest groups, where images are grouped (warns)."""


class DatasetConfig(_Strict):
    """One watched dataset."""

    name: Name
    uri: str = Field(min_length=1)
    globs: tuple[str, ...] = ()
    """Patterns relative to the location; empty means every file with an image suffix."""
    exclude: tuple[str, ...] = ()
    kind: Kind | None = None
    """The kind of the location, where its suffix does not tell."""
    image_column: str | None = None
    """The column of a table (kinds parquet and arrow) that holds the images; by default the only one that can."""
    every: Count = Field(default=1, ge=1)
    """One file in this many belongs to the dataset, chosen by a hash of its path."""
    limit: Count | None = Field(default=None, ge=1)
    """Most files of the dataset, chosen by the same hash."""
    seed: Count = 0
    """Another seed chooses other files."""
    storage_options: dict[str, Any] = Field(default_factory=dict)
    """What fsspec needs to reach the location, such as an endpoint. Secrets belong in the environment."""
    group_by: str | None = None
    """`folder`, `regex:PATTERN` (its first group) or `column:NAME` (of the metadata)."""
    metadata: MetadataConfig | None = None
    tags: Tags = Field(default_factory=dict)
    owners: tuple[str, ...] = ()
    """Mail addresses, or team:NAME; shown in Dagster."""
    scan_every: Interval | None = None
    """How often the daemon scans the dataset, such as 15m, 1h or never."""
    checks: ChecksConfig = ChecksConfig()
    shard_size: Count = Field(default=1024, ge=1, le=4096)
    """Most images in one shard: smaller shards make deletions cheaper and the lake larger."""

    @field_validator("globs", "exclude")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for glob in value:
            try:
                re.compile(glob_translate(glob))
            except (ValueError, re.error) as error:
                raise mistake(f"'{glob}' is not a pattern: {error}", code="config.bad-pattern", pattern=glob) from error
        return value

    @field_validator("group_by")
    @classmethod
    def _known_grouping(cls, value: str | None) -> str | None:
        if value is None or value == "folder":
            return value
        kind, _, argument = value.partition(":")
        if kind == "column" and argument:
            return value
        if kind == "regex" and argument:
            try:
                pattern = re.compile(argument)
            except re.error as error:
                raise mistake(
                    f"the regular expression is not valid: {error}", code="config.bad-regex", pattern=argument
                ) from error
            if pattern.groups < 1:
                raise mistake(
                    "the regular expression needs one (group): what it captures names the group",
                    code="config.regex-without-group",
                    pattern=argument,
                )
            return value
        raise mistake("use 'folder', 'regex:PATTERN' or 'column:NAME'", code="config.unknown-grouping")

    @model_validator(mode="after")
    def _column_needs_metadata(self) -> DatasetConfig:
        known = self.kind in _WITH_METADATA or (self.kind is None and kind_of_suffix(self.uri) in _WITH_METADATA)
        if self.group_by and self.group_by.startswith("column:") and self.metadata is None and not known:
            raise mistake(
                "group_by 'column:…' needs a metadata table (add `metadata: {uri: …}`)",
                code="config.grouping-without-metadata",
                group_by=self.group_by,
            )
        return self

    @model_validator(mode="after")
    def _column_of_a_table(self) -> DatasetConfig:
        if self.image_column and (self.kind or kind_of_suffix(self.uri)) not in ("parquet", "arrow"):
            raise mistake(
                "image_column belongs to kind parquet or arrow; for a folder of tables, write its `kind`",
                code="config.image-column-without-table",
                image_column=self.image_column,
            )
        return self


class ExtractorConfig(_Strict):
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


class WatchConfig(_Strict):
    """The whole file."""

    version: Count = 1
    extractors: tuple[ExtractorConfig, ...] = (ExtractorConfig(name="builtin"),)
    """The extractors of the file, each followed by its views."""
    datasets: tuple[DatasetConfig, ...] = ()
    scan_every: Interval = 3600.0
    """How often the daemon scans a dataset that does not set its own `scan_every`."""
    keep_versions: Count | None = Field(default=None, ge=2)
    """How many versions of each dataset are kept, the latest ones; None keeps all."""
    workers: Count = Field(default=0, ge=0)
    """Extraction threads; 0 means one per core. Results do not depend on it."""

    def scan_interval_s(self, dataset: DatasetConfig) -> float:
        """How often a dataset is scanned, in seconds."""
        return self.scan_every if dataset.scan_every is None else dataset.scan_every

    @field_validator("version")
    @classmethod
    def _known_version(cls, value: int) -> int:
        if value != 1:
            raise mistake("expected 1, the only version of this file so far", code="config.unknown-version")
        return value

    @field_validator("datasets", mode="before")
    @classmethod
    def _none_yet(cls, value: object) -> object:
        return () if value is None else value

    @field_validator("extractors")
    @classmethod
    def _with_views(cls, value: tuple[ExtractorConfig, ...]) -> tuple[ExtractorConfig, ...]:
        if not value:
            raise mistake(
                "name at least one extractor, such as {name: builtin}, or remove the key", code="config.no-extractors"
            )
        return tuple(config for entry in value for config in (entry, *entry.viewed()))
