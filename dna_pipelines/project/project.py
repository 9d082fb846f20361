"""A project: a folder with `data/datasets.yaml`, a lake and a Dagster home."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from dna_pipelines.config import DatasetConfig, DatasetsFile, ExtractorConfig, WatchConfig
from dna_pipelines.errors import ConfigError, UnknownName
from dna_pipelines.sources import Source, open_source, require_present
from dna_pipelines.storage import Catalog, Lake
from dna_pipelines.storage.files import replace

DATASETS_FILE = Path("data") / "datasets.yaml"


class ProjectFolder:
    """The folder of a project. One installation serves many projects."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.file = DatasetsFile(self.root / DATASETS_FILE)

    @staticmethod
    def find(root: str | Path | None = None, environment: Mapping[str, str] = os.environ) -> ProjectFolder:
        """The project at `root`, else at DNA_ROOT, else in the nearest folder above that has one.

        Raises:
            ConfigError: when a root that was named is no folder.
        """
        named = root or environment.get("DNA_ROOT")
        if named:
            path = Path(named).expanduser()
            if not path.is_dir():
                raise ConfigError(
                    f"{path} is not a folder; create it, or name another with --root or DNA_ROOT",
                    code="config.no-folder",
                    path=str(path),
                )
            return ProjectFolder(path)
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / DATASETS_FILE).exists():
                return ProjectFolder(folder)
        return ProjectFolder(here)

    @cached_property
    def lake(self) -> Lake:
        """The results of the project."""
        return Lake(self.root / "data" / "lake")

    @property
    def catalog(self) -> Catalog:
        """SQL over the lake."""
        return Catalog(self.lake.layout, self.root)

    def put_picture(self, name: str, png: bytes) -> Path:
        """Store a picture in `data/reports/`."""
        path = self.root / "data" / "reports" / name
        replace(path, png)
        return path

    @property
    def dagster_home(self) -> Path:
        """The folder of Dagster's runs and events."""
        return self.root / "data" / "dagster"

    def config(self) -> WatchConfig:
        """The datasets file as it is now."""
        return self.file.load()

    def source(self, dataset: DatasetConfig) -> Source:
        """The location of a dataset; relative URIs are resolved from the root of the project."""
        own = [self.root / "data" / name for name in ("lake", "dagster", "reports")]
        return open_source(
            dataset.uri,
            base=self.root,
            globs=dataset.globs,
            exclude=dataset.exclude,
            without=own,
            kind=dataset.kind,
            options=dataset.storage_options,
            image_column=dataset.image_column,
            cache=self.lake.contents,
        )

    def require_location(self, dataset: DatasetConfig) -> None:
        """Refuse a location on this machine that does not exist; nothing is listed, and no store is asked.

        Raises:
            SourceError: (`source.missing`).
        """
        require_present(dataset.uri, self.root)

    def extractor_name(self, name: str | None) -> str:
        """The name of an extractor: the one that is given, else the first of the datasets file.

        Raises:
            UnknownName: when the datasets file has no extractor of that name.
        """
        return self.extractor_config(name).name if name else self.config().extractors[0].name

    def extractor_config(self, name: str) -> ExtractorConfig:
        """One extractor of the datasets file.

        Raises:
            UnknownName: when it has no extractor of that name.
        """
        extractors = self.config().extractors
        for extractor in extractors:
            if extractor.name == name:
                return extractor
        known = ", ".join(extractor.name for extractor in extractors)
        raise UnknownName(
            f"'{name}' is not an extractor of this project; its datasets file has: {known}",
            code="name.extractor",
            name=name,
            known=[extractor.name for extractor in extractors],
        )
