"""Giving up old versions from the command line."""

import pytest

from dna_pipelines_tests.cli.conftest import snapshot, write_image


@pytest.fixture
def grown(project, dna):
    """Four versions of d0."""
    for number in range(3):
        write_image(project / "d0" / f"new{number}.png", 50 + number)
        assert dna("run", "d0").code == 0
    return project


def test_what_would_be_removed_is_told_asked_and_removed(grown, dna):
    before = snapshot(grown)
    said = dna("prune", "--keep", "2", "--dry-run")
    assert said.code == 0
    assert "would remove 2 DNAs" in said.out
    assert snapshot(grown) == before
    refused = dna("prune", "--keep", "2")
    assert refused.code == 1
    assert "--yes goes on without asking" in refused.err
    assert snapshot(grown) == before
    done = dna("prune", "--keep", "2", "--yes", "--json").json
    assert done["n_versions"] == {"d0": 2}
    assert done["n_removed"]["DNA"] == 2
    assert done["n_bytes"] > 0
    assert dna("prune", "--keep", "2").out.splitlines()[-1] == "removed nothing"
    assert dna("doctor", "--pages").code == 0
    assert dna("compare", "d0@-1", "d0").code == 0
    gone = dna("compare", "d0@1", "d0")
    assert gone.code == 1
    assert gone.tells("d0@1 was given up (`dna prune`)")
    assert dna("run").out.splitlines()[-1].startswith("everything is up to date")


def test_sql_goes_on(grown, dna):
    versions = "SELECT count(*) AS n FROM versions WHERE dataset = 'd0'"
    n_before = dna("sql", versions, "--json").json
    assert dna("prune", "--keep", "2", "--yes").code == 0
    assert dna("sql", versions, "--json").json == n_before
    assert dna("sql", "FROM layer_distances", "--json").code == 0
    assert dna("sql", "SELECT count(*) AS n FROM neuron_distances", "--json").code == 0


def test_without_a_number_there_is_a_message(project, dna):
    said = dna("prune")
    assert said.code == 1
    assert said.tells("how many versions? Say --keep N, or keep_versions: N in")
    assert dna("prune", "--keep", "1").code == 2


def test_runs_do_it_where_the_datasets_file_says_so(grown, settings, dna):
    settings("datasets:\n", "keep_versions: 2\ndatasets:\n")
    write_image(grown / "d0" / "another.png", 99)
    said = dna("run")
    assert said.code == 0
    assert said.tells("beyond keep_versions: removed 3 DNAs")
    assert dna("prune", "--dry-run").out.splitlines()[-1] == "would remove nothing"


def test_a_number_that_would_leave_nothing_to_compare_with_is_refused(project, settings, dna):
    settings("datasets:\n", "keep_versions: 1\ndatasets:\n")
    said = dna("status")
    assert said.code == 1
    assert said.tells("keep_versions")
