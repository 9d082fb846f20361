"""The wheel, built from the checkout and used outside of it: what is forgotten in the packaging shows here."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dna_pipelines

CHECKOUT = Path(__file__).resolve().parents[2]
DATA_FILES = [
    "py.typed",
    "config/template.yaml",
    "extraction/weights/builtin.json",
    "extraction/weights/builtin.safetensors",
    "extraction/weights/builtin.ranges.safetensors",
    "orchestration/dagster.yaml",
    "storage/queries/columns.yaml",
    "storage/queries/views.sql",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = Path(os.environ.get("DNA_WHEEL_FOLDER") or tmp_path_factory.mktemp("wheel"))
    options = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    pip(tmp_path_factory, "wheel", *options, "--no-build-isolation", "--wheel-dir", str(folder), str(CHECKOUT))
    (built,) = folder.glob(f"dna_pipelines-{dna_pipelines.__version__}-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("installed")
    pip(
        tmp_path_factory,
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
    )
    take_compiled_kernels(target)
    return target


def take_compiled_kernels(target):
    """Copy what numba compiled for the checkout: compiling it again takes a minute, and is tested elsewhere."""
    for compiled in (CHECKOUT / "dna_pipelines").rglob("__pycache__/*.nb[ic]"):
        source = compiled.parent.parent / f"{compiled.name.partition('.')[0]}.py"
        copy = target / source.relative_to(CHECKOUT)
        if copy.is_file() and source.is_file():
            # numba knows a source by its size and modification time.
            shutil.copystat(source, copy)
            copy.parent.joinpath("__pycache__").mkdir(exist_ok=True)
            shutil.copy2(compiled, copy.parent / "__pycache__" / compiled.name)


def pip(tmp_path_factory, *arguments):
    # From another folder, so that nothing of the checkout is found by accident.
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(command, cwd=tmp_path_factory.mktemp("pip"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def python(installed, folder, *arguments):
    """Run Python in `folder`, with the wheel's files before everything else."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DNA_", "DAGSTER_"))}
    environment |= {"PYTHONPATH": str(installed)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "dna_pipelines",
        f"dna_pipelines-{dna_pipelines.__version__}.dist-info",
    }
    assert [file for file in DATA_FILES if f"dna_pipelines/{file}" not in names] == []
    sources = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "dna_pipelines").rglob("*.py")}
    assert sources <= set(names)


def test_every_module_is_imported_from_it(installed, tmp_path):
    code = (
        "import importlib, pkgutil, dna_pipelines\n"
        "print(dna_pipelines.__file__)\n"
        "for module in pkgutil.walk_packages(dna_pipelines.__path__, 'dna_pipelines.'):\n"
        "    if module.name.rpartition('.')[2] not in {'definitions', 'device_kernel'}:\n"
        "        importlib.import_module(module.name)\n"
    )
    assert Path(python(installed, tmp_path, "-c", code).splitlines()[0]).is_relative_to(installed)


def test_a_project_is_made_run_and_asked(installed, tmp_path):
    def dna(*arguments):
        return python(installed, tmp_path, "-m", "dna_pipelines.cli.main", "--root", str(tmp_path), *arguments)

    generator = np.random.default_rng(0)
    for name, brightness in (("dark", 60), ("light", 190)):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for number in range(4):
            pixels = np.clip(generator.normal(brightness, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    assert dna("--version").split()[-1] == dna_pipelines.__version__
    for name in ("dark", "light"):
        dna("add", name, str(tmp_path / "images" / name))
    dna("run")
    rows = json.loads(dna("sql", "FROM matrix", "--json"))
    assert {frozenset((row["dataset_a"], row["dataset_b"])) for row in rows} == {frozenset({"dark", "light"})}
