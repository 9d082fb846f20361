"""Kept current: the scenarios, one by one."""

import json
import os
import time

import dagster as dg
import pytest

from dna_pipelines.analysis.matrix import find_matrix
from dna_pipelines.errors import LakeError
from dna_pipelines.maintenance.export import export_ranges
from dna_pipelines.orchestration.automation import FEW
from dna_pipelines.orchestration.keys import MANIFEST, key_of
from dna_pipelines.orchestration.scanning import decide
from dna_pipelines.project.current import current_dnas
from dna_pipelines.storage.attempts import ALL
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.staleness import needs, scan
from dna_pipelines_tests.orchestration.daemon import ALL_OF, Daemon, open_instance
from dna_pipelines_tests.toy import toy_project, write_image


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


def test_a_change_that_no_run_has_ingested_yet_is_reported_once(daemon):
    write_image(daemon.place("one"), "new.png", 99)
    dataset = daemon.project.file.dataset("one")
    assert scan(daemon.project, dataset) is not None
    assert scan(daemon.project, dataset) is None
    write_image(daemon.place("one"), "newer.png", 98)
    assert scan(daemon.project, dataset) is not None
    assert daemon.until_idle() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]
    # What was seen before, then gone, and is there again is news again.
    (daemon.place("one") / "newer.png").unlink()
    assert scan(daemon.project, dataset) is not None
    refresh(daemon.project, dataset)
    write_image(daemon.place("one"), "newer.png", 98)
    assert scan(daemon.project, dataset) is not None


def test_one_changed_dataset_is_brought_through_and_no_other(daemon):
    write_image(daemon.place("one"), "new.png", 99)
    assert daemon.news() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]


def test_the_same_bytes_touched_reach_the_manifest_only(daemon):
    os.utime(daemon.place("one") / "1.png", (5, 5))
    assert daemon.news() == [("manifest", "one")]
    assert daemon.news() == []


@pytest.mark.campaign
def test_a_renamed_file_reaches_the_manifest_only(daemon):
    (daemon.place("one") / "1.png").rename(daemon.place("one") / "x.png")
    assert daemon.news() == [("manifest", "one")]


def test_an_added_dataset(daemon):
    write_image(daemon.place("four"), "a.png", 77)
    write_image(daemon.place("four"), "b.png", 78)
    daemon.project.file.add({"name": "four", "uri": "images/four"})
    assert daemon.news() == [("manifest", "four"), ("toy/dna", "four"), *ALL_OF]


@pytest.mark.campaign
def test_a_removed_dataset_leaves_the_matrix_and_nothing_is_computed(daemon):
    daemon.project.file.remove("one")
    assert daemon.news() == [("toy/matrix", None)]
    assert find_matrix(daemon.project, "toy").names == ("two", "three")


def test_a_renamed_dataset_has_the_dna_it_had(daemon):
    text = daemon.project.file.path.read_text().replace("name: one", "name: uno")
    daemon.project.file.path.write_text(text)
    ran = daemon.news()
    # The same images are the same version: its DNA is there already.
    assert ran == [("manifest", "uno"), ("toy/matrix", None)]
    assert "uno" in current_dnas(daemon.project, "toy")


@pytest.mark.campaign
def test_an_emptied_dataset_is_left_out_and_holds_back_no_other(daemon):
    for file in daemon.place("one").iterdir():
        file.unlink()
    write_image(daemon.place("two"), "new.png", 99)
    ran = daemon.news()
    assert ("toy/dna", "one") not in ran
    assert ("toy/dna", "two") in ran
    assert set(current_dnas(daemon.project, "toy")) == {"two", "three"}
    assert daemon.news() == []


def test_a_parent_that_changes_twice_while_the_child_runs_gets_one_follow_up(daemon):
    write_image(daemon.place("one"), "new.png", 99)
    daemon.scan()
    [(key, partition)] = daemon.tick()
    # While the manifest is being made, two more changes are seen.
    for number in (100, 101):
        write_image(daemon.place("one"), f"{number}.png", number)
        scan(daemon.project, daemon.project.file.dataset("one"))
    daemon.run(key, partition)
    # The run listed the location after all of them, so no other run follows.
    assert daemon.until_idle() == [("toy/dna", "one"), *ALL_OF]
    assert daemon.project.lake.versions.latest("one").n_images == 8


def test_a_change_seen_after_the_run_looked_is_not_lost(daemon, monkeypatch):
    from dna_pipelines.storage.versions import Versions

    original = Versions.add

    def add(self, *arguments, **named):
        if not named["changes"]["renamed"] and len(list(daemon.place("one").iterdir())) == 6:
            # After the run listed the location and before it commits.
            write_image(daemon.place("one"), "late.png", 101)
            scan(daemon.project, daemon.project.file.dataset("one"))
        return original(self, *arguments, **named)

    monkeypatch.setattr(Versions, "add", add)
    write_image(daemon.place("one"), "new.png", 99)
    ran = daemon.news()
    assert ran.count(("manifest", "one")) == 2
    assert ran.count(("toy/dna", "one")) == 1
    assert daemon.project.lake.versions.latest("one").n_images == 7


@pytest.mark.campaign
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
    # Another batch size leaves the comparability key as it is: the keys are noted, and no DNA is missing.
    assert daemon.news() == [("seeded_vit/ranges", None)]


def test_a_failed_partition_is_tried_again_with_new_input_and_not_for_ever(daemon, monkeypatch):
    from dna_pipelines.update import fingerprint

    original, broken = fingerprint.fit, [True]

    def fit(*arguments):
        if broken[0]:
            raise ValueError("a bug")
        return original(*arguments)

    monkeypatch.setattr(fingerprint, "fit", fit)
    write_image(daemon.place("one"), "new.png", 99)
    ran = daemon.news()
    assert ran.count(("toy/dna", "one")) == 1
    assert daemon.news() == []
    notes = daemon.project.lake.attempts
    attempt = notes.last("toy/dna", "one")
    assert (attempt.n_tries, attempt.problem) == (1, "ValueError: a bug")
    assert not notes.may_try("toy/dna", "one", attempt.input_id, attempt.at + 59)
    assert notes.may_try("toy/dna", "one", attempt.input_id, attempt.at + 61)
    broken[0] = False
    write_image(daemon.place("one"), "newer.png", 100)
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


@pytest.mark.campaign
def test_a_file_of_ranges_that_contradicts_the_frozen_ones_is_no_run_at_every_tick(daemon):
    file = daemon.project.root / "r.json"
    export_ranges(daemon.project, "toy", file)
    others = json.loads(file.read_text())
    others.pop("dna_pipelines")
    file.write_text(json.dumps(others))
    text = daemon.project.file.path.read_text()
    daemon.project.file.path.write_text(text.replace("name: toy", "name: toy\n    ranges: r.json"))
    assert daemon.news() == [("toy/ranges", None)]
    assert "r.json" in daemon.project.lake.attempts.last("toy/ranges").problem
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
    def broken(*_arguments):
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("dna_pipelines.orchestration.assets.fingerprints.update_pairs", broken)
        write_image(daemon.place("one"), "new.png", 99)
        # In Dagster both are one run, in which the matrix is skipped.
        patched.setattr(daemon, "run", lambda key, name, run=daemon.run: key.path[-1] != "matrix" and run(key, name))
        assert daemon.news()[-2:] == ALL_OF
    assert needs(daemon.project).matrix
    assert daemon.until_idle() == []
    daemon.project.lake.attempts.forget("toy/distances", ALL)
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


@pytest.mark.campaign
def test_what_another_process_did_meanwhile_is_seen(daemon):
    write_image(daemon.place("one"), "new.png", 99)
    daemon.scan()
    refresh(daemon.project, daemon.project.file.dataset("one"))
    assert daemon.until_idle() == [("toy/dna", "one"), *ALL_OF]


def test_needs_names_what_is_lacking(daemon):
    write_image(daemon.place("one"), "new.png", 99)
    assert needs(daemon.project).manifests == {}
    daemon.scan()
    found = needs(daemon.project)
    assert list(found.manifests) == ["one"]
    assert found.dnas == {"toy": {}}


@pytest.mark.campaign
def test_a_dataset_may_be_called_all(tmp_path):
    project = toy_project(tmp_path, {name: {"1.png": n, "2.png": n + 1} for n, name in ((0, "all"), (10, "other"))})
    with open_instance(project) as instance:
        daemon = Daemon(project, instance)
        daemon.news()
        write_image(daemon.place("all"), "new.png", 99)
        assert daemon.news() == [("manifest", "all"), ("toy/dna", "all"), *ALL_OF]


@pytest.mark.campaign
def test_a_clock_that_was_wrong_once_stops_nothing(daemon):
    in_a_year = time.time() + 365 * 86_400
    for times in (({"a": in_a_year}, {}), ({}, {"a": in_a_year})):
        assert decide(time.time(), *times, {"a": 60.0})[0] == ["a"]
    notes = daemon.project.lake.attempts
    notes.begin("toy/dna", "one", "input")
    notes.fail("toy/dna", "one", "a problem")
    now = notes.last("toy/dna", "one").at
    assert not notes.may_try("toy/dna", "one", "input", now + 1)
    assert notes.may_try("toy/dna", "one", "input", now - 365 * 86_400)
    notes.forget("toy/dna", "one")
    daemon.project.lake.versions.put_refreshed("one", time.time_ns() + 365 * 86_400 * 10**9)
    write_image(daemon.place("one"), "new.png", 99)
    assert daemon.news() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]


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
