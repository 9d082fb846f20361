"""A tiny extractor and tiny projects, for tests that run the whole pipeline many times."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.loading.registry import register
from dna_pipelines.imaging import Preprocessing
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh


def toy_network() -> Network:
    torch.manual_seed(7)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
    return Network(
        name="toy",
        module=module.eval().requires_grad_(False),
        preprocessing=Preprocessing(size_px=8, interpolation="bilinear"),
        taps=("0", "2"),
        weights_digest="toy",
        architecture="toy",
        licence="none",
        summary="two convolutions",
    )


register("toy", toy_network)


def image_bytes(number: int) -> bytes:
    """Image number `number`: different numbers are different bytes."""
    pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    pixels[..., number % 3] //= 1 + number % 5
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_image(folder: Path, name: str, number: int) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image_bytes(number))


def toy_project(
    root: Path, datasets: dict[str, dict[str, int]], settings: str = "", extractor: str = ""
) -> ProjectFolder:
    """A project with a folder of images for each dataset: file name to image number."""
    lines = ["version: 1", "workers: 2", "extractors:", "  - name: toy", "    batch_size: 4"]
    lines += [f"    {line}" for line in extractor.splitlines()]
    lines += ["datasets:"]
    for name, images in datasets.items():
        folder = root / "images" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, number in images.items():
            write_image(folder, file, number)
        lines += [f"  - name: {name}", f"    uri: images/{name}", *(f"    {line}" for line in settings.splitlines())]
    (root / "data").mkdir(exist_ok=True)
    (root / "data" / "datasets.yaml").write_text("\n".join(lines) + "\n")
    return ProjectFolder(root)


def bring_up_to_date(project: ProjectFolder) -> None:
    """Manifests, ranges and DNAs of the first extractor, without Dagster and without distances."""
    extractor, datasets = project.config().extractors[0], project.config().datasets
    for dataset in datasets:
        refresh(project, dataset)
    ensure_ranges(project, extractor)
    for dataset in datasets:
        fit(project, dataset, extractor)
