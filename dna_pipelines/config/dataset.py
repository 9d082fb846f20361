"""The entry of a dataset in the datasets file."""

from __future__ import annotations

import re
from typing import Any, Literal

import regex
from fsspec.utils import glob_translate
from pydantic import Field, field_validator, model_validator

from dna_pipelines.config.readings import Bands, Pages, PixelsConfig, ValueRange
from dna_pipelines.config.values import Count, Interval, Name, Section, Share, Tags, mistake

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

_WITHOUT_METADATA: tuple[Kind, ...] = ("index",)
"""Kinds that cannot hold metadata of their own."""


def kind_of_suffix(uri: str) -> Kind:
    """The kind that the suffix of a URI tells; a folder where it tells none."""
    # A query, such as `?download=1`, is no part of a file's name.
    names = (uri.lower(), uri.lower().partition("?")[0]) if "://" in uri else (uri.lower(),)
    kinds = (kind for name in names for kind, suffixes in SUFFIXES.items() if name.endswith(suffixes))
    return next(kinds, "folder")


class MetadataConfig(Section):
    """A table beside the images (CSV, Parquet or JSON lines), joined by image path."""

    uri: str
    path_column: str = "path"
    columns: tuple[str, ...] = ()
    """Columns to keep with every image; empty keeps all of them."""


class ChecksConfig(Section):
    """Bounds that a dataset must keep. A dataset that breaks a blocking bound is not fingerprinted."""

    max_unreadable: Share = 0.1
    """Largest share of images that may be unreadable (blocking)."""
    max_clipped: Share = 0.05
    """Largest share of activations outside the calibrated ranges (blocking: such a DNA is compared with nothing)."""
    min_images: Count = Field(default=2, ge=0)
    """Fewest images (warns)."""
    min_groups: Count = Field(default=2, ge=0)
    """Fewest groups, where images are grouped (warns)."""


class DatasetConfig(Section):
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
    pixels: PixelsConfig | None = None
    """How many bits the values have, where their files do not say it."""
    value_range: ValueRange | None = None
    """The values that are black and white; values outside are clipped, and counted."""
    bands: Bands = ()
    """The band that is grey, or those that are red, green and blue; counted from 1."""
    pages: Pages | None = None
    """Whether every page or frame is an image, or the first alone."""
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

    @property
    def reading(self) -> dict[str, Any]:
        """What it declares of its pixels, as `imaging.Reading` calls it; empty for nothing."""
        declared = {
            "bits": self.pixels and self.pixels.bits,
            "value_range": self.value_range and list(self.value_range),
            "bands": list(self.bands) or None,
        }
        return {name: value for name, value in declared.items() if value is not None}

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
                pattern = regex.compile(argument)
            except regex.error as error:
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
        without = self.metadata is None and (self.kind or kind_of_suffix(self.uri)) in _WITHOUT_METADATA
        if without and self.group_by and self.group_by.startswith("column:"):
            raise mistake(
                "group_by 'column:…' needs a metadata table (add `metadata: {uri: …}`)",
                code="config.grouping-without-metadata",
                group_by=self.group_by,
            )
        return self

    @model_validator(mode="after")
    def _one_scale(self) -> DatasetConfig:
        if self.pixels and self.value_range:
            raise mistake(
                f"pixels: {{bits: {self.pixels.bits}}} is the value range [0, {2**self.pixels.bits - 1}]; remove one",
                code="config.scale-twice",
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
