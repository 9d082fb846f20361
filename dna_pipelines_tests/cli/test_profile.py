"""`dna profile`, and what `dna run` says about its speed."""

import pytest

from dna_pipelines_tests.cli.conftest import snapshot, write_image


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("dna_pipelines.extraction.network_speed._MIN_MEASURED_S", 0.01)


def test_profile_shows_what_limits(project, dna):
    before = snapshot(project)
    said = dna("profile", "d1", "--images", "8")
    assert said.code == 0
    assert all(text in said.out for text in ("builtin", "cpu", "8 images", "d1", "32 x 24 px"))
    assert snapshot(project) == before


def test_profile_in_json_is_nothing_but_json(project, dna):
    found = dna("profile", "--images", "8", "--json").json
    assert (found["dataset"], found["extractor"], found["n_images"]) == ("d0", "builtin", 8)
    assert [stage["stage"] for stage in found["alone"]][-1] == "write"
    assert found["together"]["n_workers"] == 2
    assert found["advice"]


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [(("nothing",), "name.dataset", "nothing"), (("--extractor", "seeded_cn"), "name.extractor", "seeded_cn")],
)
def test_a_name_that_is_wrong_is_an_error(project, dna, arguments, code, name):
    said = dna("profile", *arguments)
    assert (said.code, said.error) == (1, code)
    assert said.names(name)


def test_a_run_reports_what_bounds_it(first_run, project, dna):
    (times,) = first_run[1].json["extractions"].values()
    assert (times["n_images"], times["n_workers"], times["n_devices"]) == (30, 2, 0)
    assert times["bound_by"] in {"read", "decode", "forward", "fold", "write"}
    assert sum(times[f"{stage}_s"] for stage in ("decode", "forward", "fold", "write")) > 0
    write_image(project / "d0" / "new.png", 7)
    again = dna("run", "--json").json["extractions"]
    assert again["builtin"]["n_images"] == 1


def test_a_run_that_extracts_nothing_has_no_speed(project, dna):
    assert dna("run", "--json").json["extractions"] == {}
