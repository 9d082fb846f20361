"""What may be imported without what. The direction of imports is held by import-linter (`make check`)."""

import subprocess
import sys

import pytest

LIGHT = [
    "dna_pipelines.comparison", "dna_pipelines.storage", "dna_pipelines.reporting", "dna_pipelines.dna",
    "dna_pipelines.interchange",
    "dna_pipelines.distributions", "dna_pipelines.manifests", "dna_pipelines.sources", "dna_pipelines.imaging",
    "dna_pipelines.config", "dna_pipelines.analysis.compare", "dna_pipelines.update.plan", "dna_pipelines.cli.main",
    "dna_pipelines.extraction.files.catalogue", "dna_pipelines.extraction.files.change_token",
    "dna_pipelines.extraction.files.processors", "dna_pipelines.extraction.files.scattering_bands",
    "dna_pipelines.extraction.stream.stage_times", "dna_pipelines.extraction.weights",
]  # fmt: skip


def modules_after(statement):
    code = f"{statement}\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_neither_torch_nor_dagster_is_needed(module):
    assert modules_after(f"import {module}").isdisjoint({"torch", "dagster"})


def test_looking_for_changes_does_not_wait_for_compilers():
    assert "numba" not in modules_after("import dna_pipelines.update.plan")


def test_loading_the_definitions_does_not_load_torch(tmp_path):
    statement = f"import os; os.chdir({str(tmp_path)!r}); import dna_pipelines.cli.datasets\n"
    statement += "from pathlib import Path; from dna_pipelines.config import DatasetsFile\n"
    statement += "DatasetsFile(Path('data/datasets.yaml')).create(); import dna_pipelines.definitions"
    found = modules_after(statement)
    assert "dagster" in found
    assert "torch" not in found
