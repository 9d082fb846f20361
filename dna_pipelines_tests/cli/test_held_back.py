"""What a check withholds is told by every command, and used by none without a word."""

import pytest

REASON = "of all activations are outside the calibrated ranges"


@pytest.fixture
def clipped(project, settings, dna):
    """d0, the brightest, lies outside the ranges, which were measured on d2; nothing was run since."""
    settings("uri: d0\n", "uri: d0\n    checks: {max_clipped: 0.0}\n")
    assert dna("calibrate", "builtin", "--on", "d2", "--yes").code == 0
    return project


def test_a_dna_that_a_check_withholds_is_told_everywhere(clipped, dna):
    first = dna("run")
    assert first.code == 3
    assert first.tells("d0: held back: builtin: ")
    assert first.tells(REASON)
    assert "unexpected" not in first.err
    told = {row["dataset"]: row["problem_kind"] for row in dna("run", "--json").json["datasets"]}
    assert told == {"d0": "held back", "d1": None, "d2": None}
    again = dna("run")
    assert again.code == 3
    assert again.tells(REASON)
    assert "not everything is up to date" in again.out
    assert dna("run", "d0").code == 3
    states = {row["dataset"]: row["dna"]["builtin"] for row in dna("status", "--json").json}
    assert states == {"d0": "held back", "d1": "current", "d2": "current"}
    assert dna("status").tells(REASON)
    assert dna("export", "d0", "d0.json").tells("d0 is held back")
    compared = dna("compare", "d0", "d1")
    assert compared.code == 0
    assert compared.tells("d0 is held back, so the matrix leaves it out")
    assert "held back" not in dna("compare", "d1", "d2").err
    shown = dna("matrix", "--json").json
    in_sql = dna("sql", "SELECT DISTINCT dataset_a FROM matrix ORDER BY ALL", "--json").json
    assert [row["dataset_a"] for row in in_sql] == ["d1", "d2"]
    assert "d0" not in str(shown)


def test_a_dataset_without_a_dna_that_is_held_back_is_not_current(project, settings, dna):
    (project / "d3").mkdir()
    for number in range(3):
        (project / "d3" / f"{number}.png").write_bytes(b"no image")
    (project / "d3" / "3.png").write_bytes((project / "d0" / "0.png").read_bytes())
    dna("add", "d3", "d3")
    dry = dna("run", "--dry-run", "--json")
    assert dry.code == 3
    (found,) = [row for row in dry.json if row["name"] == "d3"]
    assert found["n_to_extract"] == {"builtin": 0}
    assert "held back: 3 of 4 files are unreadable" in found["problem"]
    assert found["problem_kind"] == "held back"
    said = dna("run")
    assert said.code == 3
    assert said.tells("d3: held back: 3 of 4 files are unreadable")
    assert "unexpected" not in said.err
    states = {row["dataset"]: row["dna"]["builtin"] for row in dna("status", "--json").json}
    assert states["d3"] == "held back"
    refused = dna("compare", "d0", "d3")
    assert refused.code == 1
    assert refused.tells("d3 has no DNA of builtin: it is held back: 3 of 4")


def test_a_dry_run_says_how_long_it_takes_where_that_is_known(project, settings, dna):
    (project / "d2").rename(project / "elsewhere")
    said = dna("run", "--dry-run")
    assert said.code == 3
    assert "how long it takes" not in said.err


def test_settings_that_may_have_changed_an_extractor_show_in_the_status(project, settings, dna):
    settings("datasets:\n", "extractors: [{name: builtin, precision: fast}]\ndatasets:\n")
    states = {row["dna"]["builtin"] for row in dna("status", "--json").json}
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
    assert dna("compare", "d0", "d1.json").tells("mine was never used here")
