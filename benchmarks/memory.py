"""Memory: the peak of a whole process that fits a DNA, at 1,000 and at 50,000 images."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Row, python_path
from benchmarks.world import World
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update import ingest
from dna_pipelines.update.calibration import ensure_ranges

TARGET = 1.15
N_ROUNDS = 2
N_IMAGES, N_FOLDERS = 50_000, 50
STEPS = ("load", "refresh", "fit")


def run(world: World, n_images: int = N_IMAGES) -> list[Row]:
    root = world.root / "memory"
    root.mkdir()
    project, images = ProjectFolder(root), world.tree("many", n_images, N_FOLDERS)
    project.file.create()
    project.file.add({"name": "large", "uri": str(images)})
    project.file.add({"name": "small", "uri": str(images / "00")})
    return _measure(world, project)


def _measure(world: World, project: ProjectFolder) -> list[Row]:
    n_images = {
        name: ingest.refresh(project, project.file.dataset(name)).commit.n_images for name in ("small", "large")
    }
    ensure_ranges(project, project.config().extractors[0])
    peaks: dict[tuple[str, str], list[float]] = {}
    for number in range(N_ROUNDS):
        for name in n_images:
            for step in STEPS:
                # Every child starts from the same lake, in which nothing is fitted yet.
                root = world.root / f"memory_{number}_{name}_{step}"
                shutil.copytree(project.root, root)
                if step == "refresh":
                    shutil.rmtree(root / "data" / "lake" / "datasets")
                peaks.setdefault((step, name), []).append(_peak(root, name, step))
                shutil.rmtree(root)

    def row(step: str, what: str, note: str, target: float | None = None) -> Row:
        few, many = (statistics.median(peaks[step, name]) for name in ("small", "large"))
        ratio = many / few
        return Row(
            f"{what}: peak memory of the whole process at {n_images['large']:,} images",
            f"{many:.0f} MiB",
            f"{few:.0f} MiB (the same at {n_images['small']:,} images)",
            f"{ratio:.2f}x",
            f"<= {target:.2f}x" if target else "",
            ratio <= target if target else None,
            note,
        )

    few, many = (statistics.median(peaks["load", name]) for name in ("small", "large"))
    grown = statistics.median(peaks["fit", "large"]) - statistics.median(peaks["fit", "small"])
    per_image = 1024 * grown / (n_images["large"] - n_images["small"])
    return [
        row(
            "fit",
            "fitting a DNA",
            f"{grown:.0f} MiB more, {per_image:.1f} KiB an image; a process that only loads the network and the "
            f"manifest, which has a row for every image, peaks at {few:.0f} and {many:.0f} MiB",
            TARGET,
        ),
        row("refresh", "listing and reading all files", "listing and manifest grow with the number of files"),
    ]


def _peak(root: Path, dataset: str, step: str) -> float:
    command = [sys.executable, "-m", "benchmarks.memory_child", str(root), dataset, step]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=python_path())
    return float(done.stdout.split()[-1])
