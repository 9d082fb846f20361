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

from dna_pipelines.config.values import NAME_PATTERN, Count, Device, Interval, Name, Share, Tags
from dna_pipelines.config.views import View

Kind = Literal["folder", "index", "zip", "tar", "parquet", "arrow"]
"""What a uri can be."""

SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "index": (".txt",),
    "zip": (".zip",),
    "tar": (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
    "parquet": (".parquet", ".parq"),
    "arrow": (".arrow", ".feather", ".ipc"),
}
"""What the suffix of a uri says it is; any other is a folder's."""

_SAY_SOMETHING: tuple[Kind, ...] = ("tar", "parquet", "arrow")
"""Kinds that may hold metadata of their own."""


def kind_of_suffix(uri: str) -> Kind:
    """What the suffix of a uri says it is; a folder where it says nothing."""
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
    """Bounds that a dataset has to keep. What breaks a blocking one is not fingerprinted further."""

    max_unreadable: Share = 0.1
    """Largest share of files that may be unreadable (blocking)."""
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
    """Patterns relative to the uri; empty means every file with an image suffix."""
    exclude: tuple[str, ...] = ()
    kind: Kind | None = None
    """What the uri is, where its suffix does not tell."""
    image_column: str | None = None
    """The column of a table (kinds parquet and arrow) that holds the images; the one that can be it by default."""
    every: Count = Field(default=1, ge=1)
    """One file in so many is taken, chosen by a hash of its path."""
    limit: Count | None = Field(default=None, ge=1)
    """Most files that are taken, chosen likewise."""
    seed: Count = 0
    """Another seed chooses others."""
    storage_options: dict[str, Any] = Field(default_factory=dict)
    """What fsspec needs to reach the place, such as an endpoint. Secrets belong in the environment."""
    group_by: str | None = None
    """`folder`, `regex:PATTERN` (its first group) or `column:NAME` (of the metadata)."""
    metadata: MetadataConfig | None = None
    tags: Tags = Field(default_factory=dict)
    owners: tuple[str, ...] = ()
    """Mail addresses, or team:NAME; shown in Dagster."""
    scan_every: Interval | None = None
    """How often the daemon looks whether it changed, such as 15m, 1h or never."""
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
                raise ValueError(f"'{glob}' is no pattern: {error}") from error
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
                raise ValueError(f"the regular expression is not valid: {error}") from error
            if pattern.groups < 1:
                raise ValueError("the regular expression needs one (group): what it captures names the group")
            return value
        raise ValueError("use 'folder', 'regex:PATTERN' or 'column:NAME'")

    @model_validator(mode="after")
    def _column_needs_metadata(self) -> DatasetConfig:
        known = self.kind in _SAY_SOMETHING or (self.kind is None and kind_of_suffix(self.uri) in _SAY_SOMETHING)
        if self.group_by and self.group_by.startswith("column:") and self.metadata is None and not known:
            raise ValueError("group_by 'column:…' needs a metadata table (add `metadata: {uri: …}`)")
        return self

    @model_validator(mode="after")
    def _column_of_a_table(self) -> DatasetConfig:
        if self.image_column and (self.kind or kind_of_suffix(self.uri)) not in ("parquet", "arrow"):
            raise ValueError("image_column belongs to kind parquet or arrow (which a folder of tables has to say)")
        return self


class ExtractorConfig(_Strict):
    """One frozen network that fingerprints are made with."""

    name: Name
    """What files, assets and tables call it."""
    network: str | None = Field(default=None, min_length=1)
    """What is loaded: a name that `dna extractors` lists, `hf:ORG/REPO[@REVISION]`, `timm:NAME`, `local:FOLDER` or
    `MODULE:FUNCTION`; the name itself where left out."""
    layers: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    """Modules to tap, or patterns of them (`*` stays between two dots, `**` does not); the network's own by default."""
    tokens: Literal["all", "cls", "patch"] = "all"
    """Which tokens of a transformer count."""
    calibrate_on: tuple[Name, ...] = ()
    """Datasets that fix the activation ranges; empty means all that exist at that moment."""
    ranges: str | None = Field(default=None, min_length=1)
    """A file with the activation ranges, such as the reference's activation_ranges.json, instead of datasets."""
    calibration_images: Count = Field(default=512, ge=1)
    """Most images the activation ranges are taken from."""
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
        """The name where only letters, digits and `_` may be: of steps and groups."""
        return self.name.replace("-", "_").replace(".", "_")

    def model_post_init(self, context: Any) -> None:
        """Note the project's folder, which whoever reads the file hands over as the validation context."""
        if context:
            self._root = Path(context["root"])

    @property
    def root(self) -> Path:
        """The project's folder: where relative paths of the network begin."""
        return self._root

    @property
    def loads(self) -> str:
        """The network that is loaded."""
        return self.network or self.name

    @property
    def view(self) -> View | None:
        """What is counted instead of the layers' own neurons; None for those."""
        return self._view

    def viewed(self) -> tuple[ExtractorConfig, ...]:
        """The extractors that its views are; they share everything but a file of ranges, which has none of theirs."""
        found = []
        for view in map(View.parse, self.views):
            own = {"name": f"{self.name}.{view.name}", "network": self.loads, "ranges": None, "views": ()}
            config = self.model_copy(update=own)
            config._view = view  # noqa: SLF001 (its own class)
            found.append(config)
        return tuple(found)

    @field_validator("layers")
    @classmethod
    def _some_layers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("an empty list names no layer; leave `layers` out for the network's own")
        return value

    @field_validator("views")
    @classmethod
    def _known_views(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        seen: dict[View, str] = {}
        for text in value:
            view = View.parse(text)
            if view in seen:
                same = "" if text == seen[view] else f" ('{seen[view]}' is the same)"
                raise ValueError(f"'{text}' is there twice{same}")
            seen[view] = text
        return value

    @model_validator(mode="after")
    def _views_have_names(self) -> ExtractorConfig:
        for view in map(View.parse, self.views):
            if not re.fullmatch(NAME_PATTERN, f"{self.name}.{view.name}"):
                raise ValueError(f"the view would be called '{self.name}.{view.name}', which is too long (at most 100)")
        return self

    @model_validator(mode="after")
    def _ranges_come_from_one_place(self) -> ExtractorConfig:
        if self.ranges and self.calibrate_on:
            raise ValueError("its ranges come either from a file (`ranges`) or from datasets (`calibrate_on`)")
        return self


class WatchConfig(_Strict):
    """The whole file."""

    version: Count = 1
    extractors: tuple[ExtractorConfig, ...] = (ExtractorConfig(name="builtin"),)
    """Those of the file, each followed by its views."""
    datasets: tuple[DatasetConfig, ...] = ()
    scan_every: Interval = 3600.0
    """How often the daemon looks whether a dataset changed, unless the dataset says otherwise."""
    keep_versions: Count | None = Field(default=None, ge=2)
    """How many versions of each dataset are kept, its last ones; all where None."""
    workers: Count = Field(default=0, ge=0)
    """Extraction threads; 0 means one a core. Results do not depend on it."""

    def scan_interval_s(self, dataset: DatasetConfig) -> float:
        """How often a dataset is looked at, in seconds."""
        return self.scan_every if dataset.scan_every is None else dataset.scan_every

    @field_validator("version")
    @classmethod
    def _known_version(cls, value: int) -> int:
        if value != 1:
            raise ValueError("expected 1, the only version of this file that there is so far")
        return value

    @field_validator("datasets", mode="before")
    @classmethod
    def _none_yet(cls, value: object) -> object:
        return () if value is None else value

    @field_validator("extractors")
    @classmethod
    def _with_views(cls, value: tuple[ExtractorConfig, ...]) -> tuple[ExtractorConfig, ...]:
        if not value:
            raise ValueError("name at least one, such as {name: builtin}, or leave the key out")
        return tuple(config for entry in value for config in (entry, *entry.viewed()))
