"""The public names: listed, lazy, and documented by examples that run."""

import doctest
import importlib
import inspect
import subprocess
import sys

import pytest

import dna_pipelines as dna

PUBLIC = {
    "AddResult", "CheckFailed", "Comparison", "ConfigError", "DatasetsResult", "ScanResult", "Distances", "DnaError",
    "DoctorResult", "DuplicatesResult", "Explanation", "ExportResult", "ExtractorError", "ExtractorResult", "ExtractorsResult", "Fingerprint", "FitsResult", "ForecastResult",
    "GroupsResult", "HistoryResult", "ImagesResult", "Incomparable", "InspectResult", "InterchangeError", "LakeError",
    "MapResult", "MatrixResult", "Network", "NothingToCompare", "Preprocessing", "Project", "PruneResult", "RangesResult", "SelectionsResult",
    "SourceChanged", "SourceError", "SqlResult", "Table", "TestResult", "UnknownName", "Unreadable", "UpdateReport",
    "UserError", "__version__", "create_project", "emd", "fingerprint", "open_project", "test",
}  # fmt: skip
HEAVY = {"torch", "dagster", "numba", "pyarrow", "duckdb", "numpy", "matplotlib", "PIL", "pydantic", "rich", "pandas"}
WITH_EXAMPLES = [
    "dna_pipelines.errors", "dna_pipelines.api.results.tables", "dna_pipelines.api.project.project", "dna_pipelines.api.in_memory.fingerprints",
    "dna_pipelines.api.arguments",
]  # fmt: skip


def test_the_public_names_are_these():
    assert set(dna.__all__) == PUBLIC
    assert set(dir(dna)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_says_what_it_is(name):
    value = getattr(dna, name)
    assert isinstance(value, str) if name == "__version__" else inspect.getdoc(value)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = dna.no_such_name
    with pytest.raises(AttributeError, match="'fingerprint'"):
        _ = dna.fingerprnt


def test_importing_the_package_loads_nothing_heavy():
    code = "import dna_pipelines, sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stdout.split())


def test_opening_a_project_needs_neither_torch_nor_dagster_nor_numba(tmp_path):
    code = f"import dna_pipelines, sys; p = dna_pipelines.create_project({str(tmp_path)!r}); p.list(); p.status()\n"
    code += "print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "dagster", "matplotlib"}.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_run(module):
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed


def test_the_package_says_that_it_is_typed():
    assert importlib.resources.files("dna_pipelines").joinpath("py.typed").is_file()
