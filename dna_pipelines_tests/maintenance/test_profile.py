"""`dna profile`: every stage measured, nothing written."""

import re

import pytest

from dna_pipelines.errors import NothingToCompare
from dna_pipelines.extraction.stream.stage_times import StageTimes
from dna_pipelines.maintenance import profile as module
from dna_pipelines.maintenance.profile import profile
from dna_pipelines_tests.cli.conftest import snapshot
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import toy_project

STAGES = ["read", "decode", "preprocess", "decode and preprocess", "forward", "fold", "write"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr("dna_pipelines.extraction.network_speed._MIN_MEASURED_S", 0.01)
    return toy_project(tmp_path, {"a": {f"{number}.png": number for number in range(30)}})


def measure(project, n_images=20):
    config = project.config()
    return profile(project, config.datasets[0], config.extractors[0], n_images)


def test_every_stage_is_measured_and_nothing_is_written(project):
    before = snapshot(project.root)
    found = measure(project)
    assert snapshot(project.root) == before
    assert [speed.stage for speed in found.alone] == STAGES
    assert all(speed.ms_per_image > 0 for speed in found.alone)
    assert (found.n_images, found.n_unreadable, found.together.n_images) == (20, 0, 20)
    assert (found.width_px, found.height_px) == (6, 6)
    speeds = {speed.stage: speed.ms_per_image for speed in found.alone}
    busy_ms = speeds["decode and preprocess"] + speeds["forward"] + speeds["fold"]
    assert found.ideal_images_per_s <= 1000 * found.together.n_workers / busy_ms * 1.0001
    # One is the sum of the others: they are measured on the same work.
    assert speeds["decode and preprocess"] == pytest.approx(speeds["decode"] + speeds["preprocess"])
    assert found.to_json()["together"]["bound_by"] == found.together.bound_by


def test_images_that_cannot_be_read_are_counted(project):
    for number in (0, 7):
        (project.root / "images" / "a" / f"{number}.png").write_bytes(b"no image")
    found = measure(project, 100)
    assert (found.n_images, found.n_unreadable) == (28, 2)


def test_a_dataset_without_an_image_is_an_error(project):
    for path in (project.root / "images" / "a").iterdir():
        path.unlink()
    with raises(NothingToCompare, "compare.no-image", dataset="a"):
        measure(project)


def test_the_advice_is_about_the_stage_that_limits(project, monkeypatch):
    of_stage = {}
    for stage in ("read", "decode", "forward", "fold", "write"):
        measured = StageTimes(200, 1.0, **{f"{stage}_s": 100.0}, n_readers=8, n_workers=2)
        monkeypatch.setattr(module.StageClock, "times", lambda _self, measured=measured: measured)
        found = measure(project)
        assert found.together.bound_by == stage
        of_stage[stage] = set(found.advice)
    # Advice about the machine and the number of images is the same for all stages.
    shared = set.intersection(*of_stage.values())
    own = {stage: "".join(lines - shared) for stage, lines in of_stage.items()}
    assert all(own.values())
    assert len(set(own.values())) == len(own)
    numbers = {stage: re.findall(r"\d+", text) for stage, text in own.items()}
    # The threads that read; the pixels of the images, and of the network's input.
    assert (numbers["read"], numbers["decode"]) == (["8"], ["6", "6", "8", "8"])
    assert "shard_size" in own["write"]
