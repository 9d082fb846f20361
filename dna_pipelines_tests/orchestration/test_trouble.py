"""When something is wrong: it is said, nothing is lost, and the rest goes on."""

import errno
import os

import dagster as dg
import pytest

from dna_pipelines.analysis.matrix import find_matrix
from dna_pipelines.orchestration.project_resource import ProjectResource
from dna_pipelines.orchestration.registry_sensor import registry_sensor
from dna_pipelines.orchestration.scanning import scan_job
from dna_pipelines.sources.folder import FolderSource
from dna_pipelines_tests.orchestration.daemon import ALL_OF
from dna_pipelines_tests.toy import write_image


def test_one_bad_dataset_withholds_its_own_dna_only(daemon):
    for number in range(3):
        (daemon.place("one") / f"bad{number}.png").write_bytes(b"no image")
    write_image(daemon.place("one"), "new.png", 98)
    write_image(daemon.place("two"), "new.png", 99)
    ran = daemon.news()
    assert ("manifest", "one") in ran
    assert ("toy/dna", "one") not in ran
    assert ("toy/dna", "two") in ran
    assert find_matrix(daemon.project, "toy").names == ("two", "three")
    assert daemon.news() == []
    for number in range(3):
        (daemon.place("one") / f"bad{number}.png").unlink()
    assert ("toy/dna", "one") in daemon.news()


def test_a_vanished_place_is_a_failed_scan_and_the_others_go_on(daemon):
    daemon.place("one").rename(daemon.place("gone"))
    write_image(daemon.place("two"), "new.png", 99)
    config = {"ops": {"scan_locations": {"config": {"datasets": ["one", "two", "three"]}}}}
    result = scan_job.execute_in_process(
        run_config=config,
        instance=daemon.instance,
        resources={"project_resource": ProjectResource(daemon.project)},
        raise_on_error=False,
    )
    # A location that cannot be reached counts as scanned, and is not scanned again until it is due.
    assert set(daemon.project.lake.versions.scanned()) == {"one", "two", "three"}
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data.metadata["n_unreachable"].value == 1
    problems = failure.user_failure_data.metadata["problems"].value
    assert {name: problem["code"] for name, problem in problems.items()} == {"one": "source.missing"}
    assert daemon.until_idle() == [("manifest", "two"), ("toy/dna", "two"), *ALL_OF]


@pytest.mark.campaign
def test_a_dataset_that_was_removed_since_the_tick_is_skipped(daemon):
    write_image(daemon.place("two"), "new.png", 99)
    daemon.project.file.remove("one")
    result = scan_job.execute_in_process(
        run_config={"ops": {"scan_locations": {"config": {"datasets": ["one", "two"]}}}},
        instance=daemon.instance,
        resources={"project_resource": ProjectResource(daemon.project)},
    )
    assert result.success
    assert set(daemon.project.lake.versions.scanned()) == {"two"}
    assert daemon.project.lake.versions.scan_result("two").n_files == len(list(daemon.place("two").iterdir()))


def test_a_location_that_fails_in_an_unforeseen_way_is_a_failed_scan(daemon, monkeypatch):
    write_image(daemon.place("two"), "new.png", 99)
    listed = FolderSource.list

    def fail(source):
        if source._root.endswith(b"one"):
            raise KeyError("contents")
        return listed(source)

    monkeypatch.setattr(FolderSource, "list", fail)
    config = {"ops": {"scan_locations": {"config": {"datasets": ["one", "two"]}}}}
    result = scan_job.execute_in_process(
        run_config=config,
        instance=daemon.instance,
        resources={"project_resource": ProjectResource(daemon.project)},
        raise_on_error=False,
    )
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    problems = failure.user_failure_data.metadata["problems"].value
    assert {name: problem["code"] for name, problem in problems.items()} == {"one": "source.unexpected"}
    assert set(daemon.project.lake.versions.scanned()) == {"one", "two"}
    assert daemon.project.lake.versions.scan_result("two")


@pytest.mark.campaign
def test_an_error_in_the_datasets_file_stops_nothing_that_runs(daemon):
    write_image(daemon.place("one"), "new.png", 99)
    daemon.scan()
    good = daemon.project.file.path.read_text()
    asked = daemon.tick()
    assert [(key.to_user_string(), partition) for key, partition in asked] == [("manifest", "one")]
    daemon.project.file.path.write_text(good + "nonsense: 1\n")
    assert not daemon.run(*asked[0])
    assert daemon.tick() == []
    daemon.project.file.path.write_text(good)
    assert daemon.until_idle() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]


def test_a_full_disk_is_said_stops_nothing_for_good_and_is_no_failed_try(daemon, monkeypatch):
    write_image(daemon.place("one"), "new.png", 99)
    daemon.scan()
    asked = daemon.tick()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert daemon.tick() == []
        assert not daemon.run(*asked[0])
        with dg.build_sensor_context(instance=daemon.instance) as context:
            said = registry_sensor(context, project_resource=ProjectResource(daemon.project)).skip_reason.skip_message
        assert os.strerror(errno.ENOSPC) in said
    assert daemon.until_idle() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]


def full(_handle):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
