"""Names of neurons, from a network to SQL."""

from dataclasses import replace

import pytest

from dna_pipelines.extraction.loading.registry import register
from dna_pipelines.project.current import publish
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests.toy import toy_network, toy_project

NAMES = {"0": ("red edge", "dusk", "it's", "moss")}
"""Of the first layer of the toy network; the second has none."""


@pytest.fixture
def name_neurons():
    """Gives the neurons of the toy network the names of its settings."""
    yield lambda names: register("toy", lambda: replace(toy_network(), neuron_names=names))
    register("toy", toy_network)


def run(project):
    dataset, extractor = project.file.dataset("d"), project.config().extractors[0]
    refresh(project, dataset)
    ensure_ranges(project, extractor)
    done = fit(project, dataset, extractor)
    publish(project)
    return done


@pytest.fixture
def project(tmp_path):
    return toy_project(tmp_path, {"d": {"a.png": 1, "b.png": 2}})


def test_names_are_kept_in_the_lake_and_in_sql(project, name_neurons):
    name_neurons(NAMES)
    key = run(project).comparability_key
    assert project.lake.fingerprints.names(key) == NAMES
    rows = project.catalog.rows("SELECT * FROM neurons ORDER BY layer, neuron")
    assert rows == [
        {"extractor": "toy", "layer": "0", "neuron": place, "name": name} for place, name in enumerate(NAMES["0"])
    ]
    rows = project.catalog.rows("SELECT layer, list(neuron_name ORDER BY neuron) AS names FROM dna GROUP BY ALL")
    assert {row["layer"]: row["names"] for row in rows} == {"0": list(NAMES["0"]), "2": [None] * 5}


def test_without_names_there_are_none(project):
    key = run(project).comparability_key
    assert project.lake.fingerprints.names(key) == {}
    assert project.catalog.rows("SELECT * FROM neurons") == []
    assert project.catalog.rows("SELECT count(neuron_name) AS n, count(*) AS all FROM dna") == [{"n": 0, "all": 9}]


def test_other_names_cost_no_image_and_replace_the_first(project, name_neurons):
    name_neurons(NAMES)
    before = run(project)
    others = {"2": tuple("abcde")}
    name_neurons(others)
    after = run(project)
    assert after.work.was_current
    assert after.comparability_key == before.comparability_key
    assert project.lake.fingerprints.names(after.comparability_key) == others
