"""The datasets file as a typed model. Unknown keys are errors."""

from __future__ import annotations

from pydantic import Field, field_validator

from dna_pipelines.config.dataset import DatasetConfig
from dna_pipelines.config.extractor import ExtractorConfig
from dna_pipelines.config.values import Count, Interval, Section, mistake


class WatchConfig(Section):
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
