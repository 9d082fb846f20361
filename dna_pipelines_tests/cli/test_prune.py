"""Pruning old versions from the command line."""

import pytest

from dna_pipelines_tests.cli.conftest import snapshot, write_image


@pytest.fixture
def grown(project, dna):
    """Four versions of d0."""
    for number in range(3):
        write_image(project / "d0" / f"new{number}.png", 50 + number)
        assert dna("run", "d0").code == 0
    return project


def test_what_would_be_removed_is_shown_confirmed_and_removed(grown, dna):
    before = snapshot(grown)
    planned = dna("prune", "--keep", "2", "--dry-run", "--json").json
    assert (planned["n_versions"], planned["n_removed"]["DNA"]) == ({"d0": 2}, 2)
    assert snapshot(grown) == before
    refused = dna("prune", "--keep", "2")
    assert refused.code == 1
    assert refused.error == "cli.no-input"
    assert snapshot(grown) == before
    done = dna("prune", "--keep", "2", "--yes", "--json").json
    assert done == planned
    assert done["n_bytes"] > 0
    assert dna("prune", "--keep", "2", "--json").json == {"n_versions": {}, "n_removed": {}, "n_bytes": 0}
    assert dna("doctor", "--pages").code == 0
    assert dna("compare", "d0@-1", "d0").code == 0
    pruned = dna("compare", "d0@1", "d0")
    assert pruned.code == 1
    assert pruned.error == "compare.pruned"
    assert pruned.names("d0@1")
    assert dna("run", "--json").json["problems"] == []


def test_sql_goes_on(grown, dna):
    versions = "SELECT count(*) AS n FROM versions WHERE dataset = 'd0'"
    n_before = dna("sql", versions, "--json").json
    assert dna("prune", "--keep", "2", "--yes").code == 0
    assert dna("sql", versions, "--json").json == n_before
    assert dna("sql", "FROM layer_distances", "--json").code == 0
    assert dna("sql", "SELECT count(*) AS n FROM neuron_distances", "--json").code == 0


def test_without_a_number_there_is_a_message(project, dna):
    said = dna("prune", "--json")
    assert said.code == 1
    assert said.error == "cli.keep-missing"
    assert said.facts == {"path": str(project / "data" / "datasets.yaml")}
    assert dna("prune", "--keep", "1").code == 2


def test_runs_do_it_where_the_datasets_file_says_so(grown, settings, dna):
    settings("datasets:\n", "keep_versions: 2\ndatasets:\n")
    write_image(grown / "d0" / "another.png", 99)
    said = dna("run")
    assert said.code == 0
    assert said.names("keep_versions", "3 DNAs")
    assert dna("prune", "--dry-run", "--json").json["n_removed"] == {}


def test_a_number_that_would_leave_nothing_to_compare_with_is_refused(project, settings, dna):
    settings("datasets:\n", "keep_versions: 1\ndatasets:\n")
    said = dna("status")
    assert said.code == 1
    assert said.error == "config.out-of-range"
    assert said.names("keep_versions")
