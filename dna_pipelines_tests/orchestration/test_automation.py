"""Kept current: the scenarios, one by one."""

import errno
import json
import os
import shutil
import socket
import time

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.tags import GRPC_INFO_TAG

from dna_pipelines.errors import LakeError
from dna_pipelines.orchestration import leftovers
from dna_pipelines.orchestration.automation import FEW
from dna_pipelines.orchestration.keys import MANIFEST, key_of
from dna_pipelines.orchestration.registry_sensor import registry_sensor
from dna_pipelines.orchestration.replay import replay
from dna_pipelines.orchestration.scanning import decide, scan_job
from dna_pipelines.orchestration.workbench import Workbench
from dna_pipelines.pipeline.export import export_ranges
from dna_pipelines.pipeline.ingest import refresh
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.versions import current_dnas
from dna_pipelines.pipeline.watch import needs, scan
from dna_pipelines_tests.orchestration.daemon import Daemon, open_instance
from dna_pipelines_tests.toy import toy_project, write_image

ALL_OF = [("toy/distances", None), ("toy/matrix", None)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project of three datasets that is up to date."""
    datasets = {
        name: {f"{n}.png": n for n in range(start, start + 5)}
        for name, start in (("one", 0), ("two", 20), ("three", 40))
    }
    project = toy_project(tmp_path_factory.mktemp("made"), datasets)
    with open_instance(project) as instance:
        Daemon(project, instance).news()
    return project.root


@pytest.fixture
def daemon(made, tmp_path):
    project = Project(shutil.copytree(made, tmp_path / "project"))
    with open_instance(project) as instance:
        yield Daemon(project, instance)


def place(daemon, name):
    return daemon.project.root / "images" / name


def test_from_nothing_everything_is_made_once(tmp_path):
    project = toy_project(tmp_path, {"one": {"1.png": 1, "2.png": 2}, "two": {"3.png": 3, "4.png": 4}})
    with open_instance(project) as instance:
        ran = Daemon(project, instance).news()
    assert sorted(ran, key=str) == sorted(
        [
            *(("manifest", n) for n in ("one", "two")),
            ("toy/ranges", None),
            *(("toy/dna", n) for n in ("one", "two")),
            *ALL_OF,
        ],
        key=str,
    )


def test_an_unchanged_rescan_runs_nothing(daemon):
    assert daemon.news() == []


def test_a_change_that_nobody_has_looked_at_yet_is_news_once(daemon):
    write_image(place(daemon, "one"), "new.png", 99)
    dataset = daemon.project.file.dataset("one")
    assert scan(daemon.project, dataset) is not None
    assert scan(daemon.project, dataset) is None
    write_image(place(daemon, "one"), "newer.png", 98)
    assert scan(daemon.project, dataset) is not None
    assert daemon.until_idle() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]
    # What was seen before, then gone, and is there again is news again.
    (place(daemon, "one") / "newer.png").unlink()
    assert scan(daemon.project, dataset) is not None
    refresh(daemon.project, dataset)
    write_image(place(daemon, "one"), "newer.png", 98)
    assert scan(daemon.project, dataset) is not None


def test_one_changed_dataset_is_brought_through_and_no_other(daemon):
    write_image(place(daemon, "one"), "new.png", 99)
    assert daemon.news() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]


def test_the_same_bytes_touched_reach_the_manifest_only(daemon):
    os.utime(place(daemon, "one") / "1.png", (5, 5))
    assert daemon.news() == [("manifest", "one")]
    assert daemon.news() == []


def test_a_renamed_file_reaches_the_manifest_only(daemon):
    (place(daemon, "one") / "1.png").rename(place(daemon, "one") / "x.png")
    assert daemon.news() == [("manifest", "one")]


def test_an_added_dataset(daemon):
    write_image(place(daemon, "four"), "a.png", 77)
    write_image(place(daemon, "four"), "b.png", 78)
    daemon.project.file.add({"name": "four", "uri": "images/four"})
    assert daemon.news() == [("manifest", "four"), ("toy/dna", "four"), *ALL_OF]


def test_a_removed_dataset_leaves_the_matrix_and_nothing_is_computed(daemon):
    daemon.project.file.remove("one")
    assert daemon.news() == [("toy/matrix", None)]
    assert daemon.project.matrix("toy").names == ("two", "three")


def test_a_renamed_dataset_has_the_dna_it_had(daemon):
    text = daemon.project.file.path.read_text().replace("name: one", "name: uno")
    daemon.project.file.path.write_text(text)
    ran = daemon.news()
    # The same images are the same version: its DNA is there already.
    assert ran == [("manifest", "uno"), ("toy/matrix", None)]
    assert "uno" in current_dnas(daemon.project, "toy")


def test_an_emptied_dataset_is_left_out_and_holds_back_no_other(daemon):
    for file in place(daemon, "one").iterdir():
        file.unlink()
    write_image(place(daemon, "two"), "new.png", 99)
    ran = daemon.news()
    assert ("toy/dna", "one") not in ran
    assert ("toy/dna", "two") in ran
    assert set(current_dnas(daemon.project, "toy")) == {"two", "three"}
    assert daemon.news() == []


def test_a_parent_that_changes_twice_while_the_child_runs_gets_one_follow_up(daemon):
    write_image(place(daemon, "one"), "new.png", 99)
    daemon.scan()
    [(key, partition)] = daemon.tick()
    # While the manifest is being made, two more changes are seen.
    for number in (100, 101):
        write_image(place(daemon, "one"), f"{number}.png", number)
        scan(daemon.project, daemon.project.file.dataset("one"))
    daemon.run(key, partition)
    # The run looked after all of them, so nothing needs to follow.
    assert daemon.until_idle() == [("toy/dna", "one"), *ALL_OF]
    assert daemon.project.lake.versions.latest("one").n_images == 8


def test_a_change_seen_after_the_run_looked_is_not_lost(daemon, monkeypatch):
    from dna_pipelines.storage.versions import Versions

    original = Versions.add

    def add(self, *arguments, **named):
        if not named["changes"]["renamed"] and len(list(place(daemon, "one").iterdir())) == 6:
            # After the run looked and before it commits.
            write_image(place(daemon, "one"), "late.png", 101)
            scan(daemon.project, daemon.project.file.dataset("one"))
        return original(self, *arguments, **named)

    monkeypatch.setattr(Versions, "add", add)
    write_image(place(daemon, "one"), "new.png", 99)
    ran = daemon.news()
    assert ran.count(("manifest", "one")) == 2
    assert ran.count(("toy/dna", "one")) == 1
    assert daemon.project.lake.versions.latest("one").n_images == 7


def test_new_code_of_an_extractor_looks_at_that_extractor_only(daemon, monkeypatch):
    daemon.project.file.path.write_text(
        daemon.project.file.path.read_text().replace(
            "extractors:\n", "extractors:\n  - name: seeded_vit\n    batch_size: 4\n"
        )
    )
    ran = daemon.news()
    assert {name for name, _ in ran} == {
        "seeded_vit/ranges",
        "seeded_vit/dna",
        "seeded_vit/distances",
        "seeded_vit/matrix",
    }
    text = daemon.project.file.path.read_text().replace(
        "name: seeded_vit\n    batch_size: 4", "name: seeded_vit\n    batch_size: 8"
    )
    daemon.project.file.path.write_text(text)
    # Another batch size leaves the comparability key as it is: the keys are noted, and no DNA is lacking.
    assert daemon.news() == [("seeded_vit/ranges", None)]


def test_a_failed_partition_is_tried_again_with_new_input_and_not_for_ever(daemon, monkeypatch):
    from dna_pipelines.pipeline import fingerprint

    original, broken = fingerprint.fit, [True]

    def fit(*arguments):
        if broken[0]:
            raise ValueError("a bug")
        return original(*arguments)

    monkeypatch.setattr(fingerprint, "fit", fit)
    write_image(place(daemon, "one"), "new.png", 99)
    ran = daemon.news()
    assert ran.count(("toy/dna", "one")) == 1
    assert daemon.news() == []
    notes = daemon.project.lake.attempts
    attempt = notes.last("toy/dna", "one")
    assert (attempt.n_tries, attempt.problem) == (1, "ValueError: a bug")
    assert not notes.may_try("toy/dna", "one", attempt.input_id, attempt.at + 59)
    assert notes.may_try("toy/dna", "one", attempt.input_id, attempt.at + 61)
    broken[0] = False
    write_image(place(daemon, "one"), "newer.png", 100)
    assert daemon.news() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]
    assert daemon.project.lake.attempts.last("toy/dna", "one") is None


def test_a_try_that_was_killed_is_made_again_at_once_and_then_with_patience(daemon):
    notes = daemon.project.lake.attempts
    for n_tries, wait_s in ((1, 0), (2, 60), (3, 600), (4, 3600), (9, 3600)):
        while (last := notes.last("toy/dna", "one")) is None or last.n_tries < n_tries:
            notes.begin("toy/dna", "one", "input")
        assert notes.may_try("toy/dna", "one", "input", last.at + wait_s + 1)
        if wait_s:
            assert not notes.may_try("toy/dna", "one", "input", last.at + wait_s - 1)
    assert notes.may_try("toy/dna", "one", "other input")


def test_a_file_of_ranges_that_contradicts_the_frozen_ones_is_no_run_at_every_tick(daemon):
    file = daemon.project.root / "r.json"
    export_ranges(daemon.project, "toy", file)
    others = json.loads(file.read_text())
    others.pop("dna_pipelines")
    file.write_text(json.dumps(others))
    text = daemon.project.file.path.read_text()
    daemon.project.file.path.write_text(text.replace("name: toy", "name: toy\n    ranges: r.json"))
    assert daemon.news() == [("toy/ranges", None)]
    assert "but these are others" in daemon.project.lake.attempts.last("toy/ranges").problem
    assert daemon.news() == []
    daemon.project.file.path.write_text(text)
    assert daemon.news() == []


def test_an_input_that_cannot_be_found_is_a_failed_try(daemon, monkeypatch):
    def damaged(*arguments):
        raise LakeError("a commit is damaged; restore it")

    monkeypatch.setattr("dna_pipelines.orchestration.assets.fingerprints.dna_input", damaged)
    subset = daemon.definitions().resolve_implicit_global_asset_job_def()
    job = subset.get_subset(asset_selection={key_of("toy", "dna")})
    result = job.execute_in_process(instance=daemon.instance, partition_key="one", raise_on_error=False)
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data.description == "a commit is damaged; restore it"


def test_the_matrix_waits_for_distances_that_are_not_tried_yet(daemon, monkeypatch):
    from dna_pipelines.pipeline import compare

    def broken(*_arguments):
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(compare, "update_pairs", broken)
        write_image(place(daemon, "one"), "new.png", 99)
        # In Dagster both are one run, in which the matrix is skipped.
        patched.setattr(daemon, "run", lambda key, name, run=daemon.run: key.path[-1] != "matrix" and run(key, name))
        assert daemon.news()[-2:] == ALL_OF
    assert needs(daemon.project).matrix
    assert daemon.until_idle() == []
    daemon.project.lake.attempts.forget("toy/distances", "all")
    assert daemon.until_idle() == ALL_OF


def test_few_changed_datasets_are_runs_of_their_own_and_many_are_one_backfill(tmp_path):
    names = [f"d{number}" for number in range(FEW + 1)]
    project = toy_project(tmp_path, {name: {"1.png": 10 * n, "2.png": 10 * n + 1} for n, name in enumerate(names)})
    with open_instance(project) as instance:
        daemon = Daemon(project, instance)
        daemon.scan()
        assert daemon.tick() == [(MANIFEST, name) for name in names]
        assert daemon.run_batch(MANIFEST, names)
        daemon.run(key_of("toy", "ranges"), None)
        # One of them fails in the middle of its batch.
        (project.root / "images" / "d4" / "1.png").unlink()
        assert [name for _, name in daemon.tick()] == names
        assert not daemon.run_batch(key_of("toy", "dna"), names)
        assert set(current_dnas(project, "toy")) == set(names) - {"d4"}
        written = instance.get_materialized_partitions(key_of("toy", "dna"))
        assert written == set(names) - {"d4"}
        for name, dna in current_dnas(project, "toy").items():
            filter_ = dg.AssetRecordsFilter(key_of("toy", "dna"), asset_partitions=[name])
            [record] = instance.fetch_materializations(filter_, limit=9).records
            assert record.asset_materialization.tags["dagster/data_version"] == dna
            assert record.asset_materialization.metadata["n_images"].value == 2
        daemon.until_idle()
        write_image(project.root / "images" / "d1", "new.png", 777)
        write_image(project.root / "images" / "d2", "new.png", 778)
        daemon.scan()
        [first] = daemon.tick()
        daemon.run(*first)
        assert {first, *daemon.tick()} >= {(MANIFEST, "d1"), (MANIFEST, "d2")}


def test_one_bad_dataset_withholds_its_own_dna_only(daemon):
    for number in range(3):
        (place(daemon, "one") / f"bad{number}.png").write_bytes(b"no image")
    write_image(place(daemon, "one"), "new.png", 98)
    write_image(place(daemon, "two"), "new.png", 99)
    ran = daemon.news()
    assert ("manifest", "one") in ran
    assert ("toy/dna", "one") not in ran
    assert ("toy/dna", "two") in ran
    assert daemon.project.matrix("toy").names == ("two", "three")
    assert daemon.news() == []
    for number in range(3):
        (place(daemon, "one") / f"bad{number}.png").unlink()
    assert ("toy/dna", "one") in daemon.news()


def test_a_vanished_place_is_a_failed_scan_and_the_others_go_on(daemon):
    place(daemon, "one").rename(place(daemon, "gone"))
    write_image(place(daemon, "two"), "new.png", 99)
    config = {"ops": {"look_at_places": {"config": {"datasets": ["one", "two", "three"]}}}}
    result = scan_job.execute_in_process(
        run_config=config,
        instance=daemon.instance,
        resources={"workbench": Workbench(daemon.project)},
        raise_on_error=False,
    )
    # A place that cannot be reached was looked at too, and is not asked for again until it is due.
    assert set(daemon.project.lake.versions.scanned()) == {"one", "two", "three"}
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data.description.startswith("one: ")
    assert "does not exist" in failure.user_failure_data.description
    assert daemon.until_idle() == [("manifest", "two"), ("toy/dna", "two"), *ALL_OF]


def test_an_error_in_the_datasets_file_stops_nothing_that_runs(daemon):
    write_image(place(daemon, "one"), "new.png", 99)
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
    write_image(place(daemon, "one"), "new.png", 99)
    daemon.scan()
    asked = daemon.tick()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert daemon.tick() == []
        assert not daemon.run(*asked[0])
        with dg.build_sensor_context(instance=daemon.instance) as context:
            said = registry_sensor(context, workbench=Workbench(daemon.project)).skip_reason.skip_message
        assert "cannot be written: No space left on device" in said
    assert daemon.until_idle() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]


def full(_handle):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_lost_dagster_database_costs_nothing(daemon, tmp_path):
    daemon.instance.dispose()
    shutil.rmtree(daemon.project.dagster_home)
    with open_instance(daemon.project) as fresh:
        assert Daemon(daemon.project, fresh).news() == []


def test_what_another_process_did_meanwhile_is_seen(daemon):
    write_image(place(daemon, "one"), "new.png", 99)
    daemon.scan()
    refresh(daemon.project, daemon.project.file.dataset("one"))
    assert daemon.until_idle() == [("toy/dna", "one"), *ALL_OF]


def test_needs_names_what_is_lacking(daemon):
    write_image(place(daemon, "one"), "new.png", 99)
    assert needs(daemon.project).manifests == {}
    daemon.scan()
    found = needs(daemon.project)
    assert list(found.manifests) == ["one"]
    assert found.dnas == {"toy": {}}


def test_who_is_due():
    never, hourly = float("inf"), 3600.0
    intervals = {"a": hourly, "b": hourly, "c": never, "d": 60.0, "e": hourly}
    scanned = {"a": 9_000.0, "d": 9_940.0, "gone": 1.0}
    asked = {"e": 9_950.0, "gone": 1.0}
    due, asked = decide(10_000.0, scanned, asked, intervals)
    # The scan of e that was asked for may still come.
    assert due == ["b", "d"]
    assert asked == {"e": 9_950.0, "b": 10_000.0, "d": 10_000.0}
    assert json.loads(json.dumps(asked)) == asked
    # It did not come; and that of b was made.
    assert decide(10_010.0, {**scanned, "b": 10_001.0, "d": 10_001.0}, asked, intervals)[0] == ["e"]


def test_runs_whose_process_is_gone_are_reaped_and_what_they_did_is_asked_for_again(daemon):
    instance = daemon.instance
    write_image(place(daemon, "one"), "new.png", 99)
    daemon.scan()
    [(key, partition)] = daemon.tick()
    job = daemon.definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection={key})

    def started(tags):
        run = instance.create_run_for_job(
            job, tags={"dagster/partition": partition, **tags}, asset_selection=frozenset({key})
        )
        instance.report_engine_event("launched", run)
        instance.handle_new_event(_event(run, dg.DagsterEventType.RUN_START))
        return run.run_id

    gone = started({leftovers.PROCESS: f"{leftovers.platform.node()}/999999/1"})
    elsewhere = started({leftovers.PROCESS: "another-host/1/1"})
    here = started({leftovers.PROCESS: leftovers._name(os.getpid())})
    silent = started({})
    assert daemon.tick() == []  # they are under way, as far as anyone knows
    assert leftovers.reap(instance) == [gone]
    assert leftovers.reap(instance, now=time.time() + 1000) == [silent]
    for run_id in (elsewhere, here):
        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED
        instance.report_run_failed(instance.get_run_by_id(run_id))
    assert daemon.until_idle() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]


def test_runs_that_no_server_will_start_any_more_are_reaped(daemon, tmp_path):
    instance, here = daemon.instance, leftovers.platform.node()
    alive, dead = (socket.socket(socket.AF_UNIX) for _ in range(2))
    for server, name in ((alive, "alive"), (dead, "dead")):
        server.bind(str(tmp_path / name))
        server.listen()
    dead.close()

    def starting(host, socket_name, *, started=False):
        told = {GRPC_INFO_TAG: json.dumps({"socket": str(tmp_path / socket_name)})} if socket_name else {}
        places = {"ops": {"look_at_places": {"config": {"datasets": []}}}}
        run = instance.create_run_for_job(scan_job, run_config=places, tags={leftovers.HOST: host, **told})
        instance.handle_new_event(_event(run, dg.DagsterEventType.PIPELINE_STARTING))
        if started:
            instance.handle_new_event(_event(run, dg.DagsterEventType.RUN_START))
        return run.run_id

    with alive:
        killed, gone = starting(here, "dead"), starting(here, "removed")
        # It began, and was killed before it could name its process.
        unnamed = starting(here, "dead", started=True)
        handed_over, elsewhere, not_yet = (
            starting(here, "alive"),
            starting("another-host", "dead"),
            starting(here, None),
        )
        assert set(leftovers.reap(instance)) == {killed, gone, unnamed}
        assert leftovers.reap(instance, now=time.time() + 60) == [not_yet]
    for run_id in (handed_over, elsewhere):
        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTING


def _event(run, kind):
    event = dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
    return EventLogEntry(
        error_info=None, level="debug", user_message="", run_id=run.run_id, timestamp=time.time(), dagster_event=event
    )


def test_replaying_the_lake_tells_a_fresh_database_everything_once(daemon):
    daemon.instance.dispose()
    shutil.rmtree(daemon.project.dagster_home)
    with open_instance(daemon.project) as fresh:
        # Three datasets with raw, manifest and DNA, and the ranges.
        assert replay(fresh, daemon.project) == 10
        assert replay(fresh, daemon.project) == 0
        assert fresh.get_materialized_partitions(dg.AssetKey(["toy", "dna"])) == {"one", "two", "three"}
        assert Daemon(daemon.project, fresh).news() == []
