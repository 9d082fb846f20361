"""What a check blocks is reported by every command, and used by none without a note."""

import pytest


@pytest.fixture
def clipped(project, settings, dna):
    """d0, the brightest, lies outside the ranges, which were measured on d2; nothing was run since."""
    settings("uri: d0\n", "uri: d0\n    checks: {max_clipped: 0.0}\n")
    assert dna("calibrate", "builtin", "--on", "d2", "--yes").code == 0
    return project


def test_a_dna_that_a_check_blocks_is_reported_everywhere(clipped, dna):
    first = dna("run")
    assert first.code == 3
    again = dna("run", "--json")
    assert again.code == 3
    statuses = {row["dataset"]: row["problem_status"] for row in again.json["datasets"]}
    assert statuses == {"d0": "blocked", "d1": None, "d2": None}
    assert again.json["datasets"][0]["problem_code"] == "check.blocked"
    # The key and the word of version 0.1.
    blocked = {row["dataset"]: row["problem_kind"] for row in again.json["datasets"]}
    assert blocked == {"d0": "held back", "d1": None, "d2": None}
    problem = again.json["datasets"][0]["problem"]
    assert again.json["problems"] == []
    assert first.names(problem)
    assert dna("run").names(problem)
    assert dna("run", "d0").code == 3
    rows = {row["dataset"]: row for row in dna("status", "--json").json}
    states = {name: row["dna_states"]["builtin"] for name, row in rows.items()}
    assert states == {"d0": "blocked", "d1": "current", "d2": "current"}
    reason = rows["d0"]["blocked"]
    assert reason
    # The keys and the word of version 0.1.
    assert {name: row["dna"]["builtin"] for name, row in rows.items()} == states | {"d0": "held back"}
    assert rows["d0"]["held_back"] == reason
    assert reason in problem
    status = dna("status")
    assert status.code == 3
    assert status.names("d0", reason)
    exported = dna("export", "d0", "d0.json", "--json").json
    bare = exported["blocked"]
    assert bare
    assert exported["held_back"] == bare
    assert bare in reason
    assert dna("compare", "d0", "d1").names("d0", bare)
    compared = dna("compare", "d0", "d1", "--json").json
    assert bare in compared["blocked"]["d0"]
    assert compared["held_back"] == compared["blocked"]
    assert dna("compare", "d1", "d2", "--json").json["blocked"] == {}
    shown = dna("matrix", "--json").json
    in_sql = dna("sql", "SELECT DISTINCT dataset_a FROM matrix ORDER BY ALL", "--json").json
    assert [row["dataset_a"] for row in in_sql] == ["d1", "d2"]
    assert shown["datasets"] == ["d1", "d2"]


def test_a_blocked_dataset_without_a_dna_is_not_current(project, settings, dna):
    (project / "d3").mkdir()
    for number in range(3):
        (project / "d3" / f"{number}.png").write_bytes(b"no image")
    (project / "d3" / "3.png").write_bytes((project / "d0" / "0.png").read_bytes())
    dna("add", "d3", "d3")
    dry = dna("run", "--dry-run", "--json")
    assert dry.code == 3
    (found,) = [row for row in dry.json if row["name"] == "d3"]
    assert found["n_to_extract"] == {"builtin": 0}
    assert "3 of 4" in found["problem"]
    assert found["problem_kind"] == "held back"
    said = dna("run")
    assert said.code == 3
    assert said.names("d3", found["problem"])
    states = {row["dataset"]: row["dna_states"]["builtin"] for row in dna("status", "--json").json}
    assert states["d3"] == "blocked"
    refused = dna("compare", "d0", "d3")
    assert refused.code == 1
    assert refused.error == "compare.blocked"
    assert refused.names("d3", "builtin", "3 of 4")


def test_a_dry_run_estimates_the_duration_where_that_is_known(project, settings, dna):
    (project / "d2").rename(project / "elsewhere")
    said = dna("run", "--dry-run", "--json")
    assert said.code == 3
    assert [row["extraction_s"] for row in said.json] == [0, 0, None]


def test_settings_that_may_have_changed_an_extractor_show_in_the_status(project, settings, dna):
    settings("datasets:\n", "extractors: [{name: builtin, precision: fast}]\ndatasets:\n")
    states = {row["dna_states"]["builtin"] for row in dna("status", "--json").json}
    assert states == {"changed"}


def test_fd_is_of_whole_layers(project, dna):
    whole = dna("compare", "d0", "d1", "--json").json
    layer = next(row["layer"] for row in whole["layers"] if row["fd"] is not None)
    assert dna("compare", "d0", "d1", "--layer", layer, "--json").json["fd"] == whole["fd"]
    some = dna("compare", "d0", "d1", "--neuron", f"{layer}:0-2", "--json").json
    assert some["fd"] is None
    assert [row["fd"] for row in some["layers"]] == [None]


def test_a_file_is_compared_in_the_extractor_whose_network_it_names(project, settings, dna):
    assert dna("export", "d1", "d1.json").code == 0
    settings(
        "datasets:\n",
        "extractors: [{name: other, network: seeded_vit}, {name: mine, network: builtin}]\ndatasets:\n",
    )
    refused = dna("compare", "d0", "d1.json")
    assert (refused.code, refused.error) == (1, "compare.extractor-unused")
    assert refused.names("mine")
