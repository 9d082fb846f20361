"""Scratch space: a tree of small images, and a project that watches it."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import timed
from dna_pipelines.project.current import publish
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update import fingerprint, ingest
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.pairs import matrix_id, wanted_pairs

N_IMAGES, N_FOLDERS = 20_000, 20
# Files modified less than two seconds before a scan are read again at the next one.
LONG_AGO = 1_700_000_000


class World:
    """Made on demand and once, because several benchmarks share it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._n_made = 0

    @cached_property
    def images(self) -> Path:
        """A tree of `N_IMAGES` small PNGs, all different, in `N_FOLDERS` folders."""
        return self.tree("images", N_IMAGES, N_FOLDERS)

    def tree(self, name: str, n_images: int, n_folders: int) -> Path:
        """Another tree of small PNGs, for who needs more of them or must have them alone."""
        for index in range(n_images):
            self.add_image(index * n_folders // n_images, name)
        return self.root / name

    def add_image(self, folder: int, tree: str = "images") -> Path:
        """One more image."""
        number, self._n_made = self._n_made, self._n_made + 1
        # Large random patches: different bytes, and something in them for a network to see.
        patches = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        path = self.root / tree / f"{folder:02d}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(patches).resize((32, 32), Image.Resampling.BILINEAR).save(path, compress_level=1)
        os.utime(path, (LONG_AGO, LONG_AGO))
        return path

    def empty_project(self, name: str) -> ProjectFolder:
        """A project that watches the whole tree as `large`, with nothing done yet."""
        root = self.root / name
        root.mkdir()
        project = ProjectFolder(root)
        project.file.create()
        project.file.add({"name": "large", "uri": str(self.images)})
        return project

    @cached_property
    def fitted(self) -> tuple[ProjectFolder, dict[str, float]]:
        """A project whose DNA is up to date, and the seconds that the first run of each step took."""
        project = self.empty_project("project")
        dataset, extractor = project.file.dataset("large"), project.config().extractors[0]
        seconds = {
            "refresh": timed(lambda: ingest.refresh(project, dataset))[0],
            "ranges": timed(lambda: ensure_ranges(project, extractor))[0],
            "fit": timed(lambda: fingerprint.fit(project, dataset, extractor))[0],
        }
        publish(project)
        # A matrix of one dataset, drawn as far as a run is concerned.
        project.lake.distances.note_drawn(extractor.name, matrix_id(wanted_pairs(project, extractor.name)))
        return project, seconds
