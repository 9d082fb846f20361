"""One small project that the examples of all documents share."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dna_pipelines.cli.main import app

DATASETS = """\
version: 1
datasets:
  - name: cameras
    uri: images/cameras
    metadata: {uri: labels.csv, path_column: file}
  - {name: synthetic, uri: images/synthetic}
  - {name: train, uri: images/train}
  - {name: test, uri: images/test}
extractors:
  - name: builtin
  - name: scattering
"""


@pytest.fixture(scope="session")
def dna():
    """The command line, in this process: `dna("run")` gives its standard output."""

    def call(*arguments, exit_code=0):
        done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert done.exit_code == exit_code, f"dna {' '.join(arguments)}: {done.output}"
        return done.stdout

    return call


@pytest.fixture
def project_folder(original_project, tmp_path):
    """A copy of the project for one document, so that documents do not depend on each other."""
    return shutil.copytree(original_project, tmp_path / "project")


@pytest.fixture(scope="session")
def original_project(tmp_path_factory, dna):
    """A project as the documents have it: four datasets, two versions of one, and images that are in none."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    (folder / "data" / "datasets.yaml").write_text(DATASETS, encoding="utf-8")
    generator = np.random.default_rng(7)
    write_cameras(folder, generator, range(36))
    for name, brightness in (("synthetic", 150), ("train", 110), ("test", 115)):
        for number in range(12):
            write(folder / "images" / name / f"{number}.png", generator, brightness, 24)
    for folder_name, n_images in (("images/indoor/hall", 3), ("inbox", 2), ("photos/before", 8), ("photos/after", 8)):
        for number in range(n_images):
            write(folder / folder_name / f"{number}.png", generator, 90 if "after" in folder_name else 140, 30)
    (folder / "images" / "test" / "copy.png").write_bytes((folder / "images" / "train" / "0.png").read_bytes())
    (folder / "weights.csv").write_text("layer,neuron,weight\nstage1.between,0,1\nstage1.between,3,0.5\n")
    root = ("--root", str(folder))
    dna(*root, "run")
    write_cameras(folder, generator, range(36, 44))
    dna(*root, "run")
    dna(*root, "select", "learn", "rain", "--respond-to", "weather=rain", "--datasets", "cameras")
    for extractor in ("builtin", "scattering"):
        dna(*root, "compare", "cameras", "synthetic", "--extractor", extractor)
    return folder


def write_cameras(folder, generator, numbers):
    """Images of two cameras in two kinds of weather, and what they show as a table."""
    table = folder / "labels.csv"
    begins = not table.exists()
    with table.open("a", newline="") as file:
        rows = csv.writer(file)
        if begins:
            rows.writerow(["file", "weather", "camera", "city"])
        for number in numbers:
            rain, front = number % 2 == 0, number % 4 < 2
            write(folder / "images" / "cameras" / f"{number}.png", generator, 70 if rain else 120, 40 if front else 15)
            city = "Paris, 12e" if number % 3 else "Oslo"
            rows.writerow([f"{number}.png", "rain" if rain else "sun", "front" if front else "back", city])


def write(path, generator, brightness, contrast):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.clip(generator.normal(brightness, contrast, (6, 6, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(path)
