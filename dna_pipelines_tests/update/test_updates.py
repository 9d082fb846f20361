"""What an update costs: what changed, and no more."""

import errno
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.errors import LakeError, NothingToCompare, SourceChanged, UnknownName
from dna_pipelines.project.current import current_dnas, publish
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import find_commit
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.extractors import load
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.listing import list_location
from dna_pipelines.update.pairs import matrix_id, update_pairs, wanted_pairs
from dna_pipelines.update.plan import make_plan
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import toy_project, write_image

IMAGES = {f"{number:03d}.png": number for number in range(30)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    others = {name: {f"{n}.png": n for n in range(start, start + 6)} for name, start in (("other", 50), ("third", 70))}
    project = toy_project(tmp_path_factory.mktemp("made"), {"watched": IMAGES, **others}, "shard_size: 10")
    bring_up_to_date(project)
    return project.root


@pytest.fixture
def project(made, tmp_path):
    return ProjectFolder(shutil.copytree(made, tmp_path, dirs_exist_ok=True))


def bring_up_to_date(project):
    config, fitted = project.config(), {}
    for dataset in config.datasets:
        refresh(project, dataset)
    ensure_ranges(project, config.extractors[0])
    for dataset in config.datasets:
        fitted[dataset.name] = fit(project, dataset, config.extractors[0])
    updated = update_pairs(project, "toy")
    project.lake.distances.note_drawn("toy", matrix_id(wanted_pairs(project, "toy")))
    return fitted, updated


def place(project):
    return project.root / "images" / "watched"


def test_a_second_time_there_is_nothing_to_do(project):
    fitted, pairs = bring_up_to_date(project)
    assert all(one.work.was_current for one in fitted.values())
    assert pairs.n_computed == 0
    assert pairs.n_reused == 3
    assert make_plan(project).nothing_to_do


@pytest.mark.parametrize("n_added", [1, 4, 25])
def test_added_images_are_the_ones_extracted(project, n_added):
    for number in range(n_added):
        write_image(place(project), f"new{number}.png", 1000 + number)
    fitted, _ = bring_up_to_date(project)
    assert fitted["watched"].work.n_images_extracted == n_added
    assert fitted["watched"].work.n_computed == -(-n_added // 10)
    assert fitted["watched"].work.n_reused == 3
    assert fitted["other"].work.was_current


def test_a_changed_image_replaces_its_own_shard_and_adds_one(project):
    write_image(place(project), "007.png", 1000)
    fitted, _ = bring_up_to_date(project)
    assert fitted["watched"].work.n_computed == 2
    assert fitted["watched"].work.n_images_extracted == 10
    assert fitted["watched"].work.n_reused == 2


def test_a_removed_image_costs_at_most_its_own_shard(project):
    (place(project) / "007.png").unlink()
    fitted, _ = bring_up_to_date(project)
    assert fitted["watched"].work.n_computed == 1
    assert fitted["watched"].work.n_images_extracted == 9


def test_what_was_before_comes_back_without_work(project):
    first = current_dnas(project, "toy")["watched"]
    (place(project) / "007.png").unlink()
    bring_up_to_date(project)
    write_image(place(project), "007.png", 7)
    fitted, pairs = bring_up_to_date(project)
    assert fitted["watched"].work.was_current
    assert fitted["watched"].record.dna_id == first
    assert pairs.n_computed == 0


def test_renaming_and_touching_move_no_dna(project):
    before = current_dnas(project, "toy")
    (place(project) / "001.png").rename(place(project) / "zzz.png")
    os.utime(place(project) / "002.png", (1, 1))
    done = refresh(project, project.file.dataset("watched"))
    assert done.diff.counts() == {
        "added": 0, "removed": 0, "changed": 0, "renamed": 1, "quarantined": 0, "described": 0, "regrouped": 0,
        "reread": 0,
    }  # fmt: skip
    assert not done.was_current
    assert current_dnas(project, "toy") == before
    assert wanted_pairs(project, "toy").missing == []


def test_only_pairs_with_a_new_dna_are_computed(project):
    write_image(place(project), "new.png", 1000)
    _, pairs = bring_up_to_date(project)
    # watched against other, against third, and against what it was.
    assert pairs.n_computed == 3
    assert pairs.n_reused == 1


def test_an_image_that_changes_between_scan_and_extraction_is_noticed(project):
    write_image(place(project), "new.png", 1000)
    dataset, extractor = project.file.dataset("watched"), project.config().extractors[0]
    refresh(project, dataset)
    write_image(place(project), "new.png", 1001)
    with raises(SourceChanged, "source.changed", path="watched: new.png"):
        fit(project, dataset, extractor)
    (place(project) / "new.png").unlink()
    with raises(SourceChanged, "source.vanished", path="watched: new.png"):
        fit(project, dataset, extractor)
    refresh(project, dataset)
    assert fit(project, dataset, extractor).work.was_current


def test_a_rewrite_within_the_clock_tick_is_noticed(project):
    """Same size, same modification time, other bytes: a file that was written just before the scan is read again."""
    file = place(project) / "000.png"
    write_image(place(project), "000.png", 1000)
    refresh(project, project.file.dataset("watched"))
    data, status = bytearray(file.read_bytes()), file.stat()
    data[-20] ^= 1
    file.write_bytes(bytes(data))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not list_location(project, project.file.dataset("watched")).is_current


def test_old_versions_stay_comparable_without_their_images(project):
    write_image(place(project), "new.png", 1000)
    bring_up_to_date(project)
    for file in list(place(project).iterdir()):
        file.unlink()
    pair = compare_pair(project, "watched@-1", "watched")
    comparison, summary = pair.comparison, pair.to_json()
    assert summary["emd_bins"] > 0
    assert {"emd_bins", "emd_range", "nfd", "fd", "layers"} <= summary.keys()
    assert len(comparison.emd_bins) == 9
    rows = project.catalog.rows("FROM neuron_distances WHERE metric = 'emd_bins' ORDER BY layer")
    np.testing.assert_allclose(np.concatenate([row["values"] for row in rows]), comparison.emd_bins, rtol=1e-6)


def test_versions_are_named_in_several_ways(project):
    write_image(place(project), "new.png", 1000)
    bring_up_to_date(project)
    first = find_commit(project, "watched@1")
    assert find_commit(project, "watched@-1") == first
    assert find_commit(project, f"watched@{first.version_id[:8]}") == first
    assert find_commit(project, "watched").seq == 2
    with raises(UnknownName, "name.version", dataset="watched", version="9", known=[1, 2]):
        find_commit(project, "watched@9")
    with raises(UnknownName, "name.dataset", name="wached", known=["other", "third", "watched"]):
        find_commit(project, "wached")


def test_an_emptied_dataset_has_no_dna_and_says_so(project):
    for file in list(place(project).iterdir()):
        file.unlink()
    fitted, pairs = bring_up_to_date(project)
    assert fitted["watched"].record is None
    assert pairs.left_out == ("watched",)
    with raises(NothingToCompare, "compare.empty"):
        compare_pair(project, "watched", "other")


def test_datasets_with_the_same_images_share_one_dna(tmp_path):
    project = toy_project(tmp_path, {"one": IMAGES, "two": {f"copy-{name}": n for name, n in IMAGES.items()}})
    bring_up_to_date(project)
    ids = current_dnas(project, "toy")
    assert ids["one"] == ids["two"]
    publish(project)
    assert [row["emd_bins"] for row in project.catalog.rows("FROM matrix")] == [0.0, 0.0]


def test_several_workers_give_what_one_gives(tmp_path):
    found = []
    for workers in (1, 2, 5):
        project = toy_project(tmp_path / str(workers), {"watched": IMAGES}, "shard_size: 7")
        text = project.file.path.read_text().replace("workers: 2", f"workers: {workers}")
        project.file.path.write_text(text)
        bring_up_to_date(project)
        identity = current_dnas(project, "toy")["watched"]
        folder = project.lake.layout.root / "dna"
        found.append(
            [
                pq.read_table(folder / table / f"{identity}.parquet")
                for table in ("histogram", "blocks", "moments", "covariance")
            ]
        )
    assert found[0] == found[1] == found[2]


def test_ranges_are_frozen_until_asked(project):
    extractor = project.config().extractors[0]
    write_image(place(project), "bright.png", 5000)
    refresh(project, project.file.dataset("watched"))
    frozen, measured = ensure_ranges(project, extractor)
    assert not measured
    replaced, measured = ensure_ranges(project, extractor, replace=True)
    assert measured
    assert replaced.n_images == frozen.n_images + 1
    assert not make_plan(project).nothing_to_do


def test_a_damaged_partial_is_an_error_that_says_what_to_do(project):
    write_image(place(project), "new.png", 1000)
    # The earlier DNA is out of the way, so that every shard has to be added up again.
    for record in (project.lake.layout.root / "dna" / "records").iterdir():
        record.unlink()
    file = next((project.lake.layout.root / "partials").glob("*/histogram/*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    with raises(LakeError, "lake.damaged", path=str(file)):
        bring_up_to_date(project)
    file.unlink()
    bring_up_to_date(project)


def test_partials_of_another_compute_key_are_reused_and_named(project, monkeypatch):
    """The same network in other batches moves last bits only: nothing is extracted again, and the DNA says so."""
    text = project.file.path.read_text().replace("batch_size: 4", "batch_size: 8")
    project.file.path.write_text(text)
    write_image(place(project), "new.png", 1000)
    fitted, _ = bring_up_to_date(project)
    assert fitted["watched"].work.n_images_extracted == 1
    assert len(fitted["watched"].record.compute_keys) == 2
    assert fitted["other"].work.was_current


def test_two_writers_of_one_dataset_lose_nothing(project, monkeypatch):
    """Another process commits between our scan and our commit: ours is built again on top of it."""
    dataset, original = project.file.dataset("watched"), type(project.lake.versions).add
    write_image(place(project), "ours.png", 1000)
    raced = []

    def add(self, *arguments, **named):
        if not raced:
            raced.append(True)
            write_image(place(project), "theirs.png", 1001)
            refresh(project, dataset)
        return original(self, *arguments, **named)

    monkeypatch.setattr(type(project.lake.versions), "add", add)
    done = refresh(project, dataset)
    assert {row.name for row in done.manifest.rows} >= {"ours.png", "theirs.png"}
    assert [commit.seq for commit in project.lake.versions.history("watched")] == [1, 2]


def test_progress_is_reported_to_the_end(project):
    counted = {}

    class Counting:
        def task(self, description, total):
            from contextlib import contextmanager

            @contextmanager
            def bar():
                counted[description] = [0, total]

                def advance(steps):
                    counted[description][0] += steps

                yield advance

            return bar()

    for number in range(9):
        write_image(place(project), f"new{number}.png", 1000 + number)
    dataset = project.file.dataset("watched")
    refresh(project, dataset, Counting())
    fit(project, dataset, project.config().extractors[0], Counting())
    update_pairs(project, "toy", Counting())
    assert counted == {"reading watched": [9, 9], "toy: watched": [9, 9], "comparing toy": [6, 6]}


def test_what_was_extracted_comes_with_where_the_time_went(project):
    fitted, _ = bring_up_to_date(project)
    assert fitted["watched"].work.stages is None
    write_image(place(project), "new.png", 999)
    fitted, _ = bring_up_to_date(project)
    times = fitted["watched"].work.stages
    assert times.n_images == 1
    assert 0 < times.write_s < times.elapsed_s <= fitted["watched"].duration_s


def test_with_all_partials_there_nothing_is_started_and_nothing_else_looked_at(project, monkeypatch):
    bring_up_to_date(project)
    config = project.config()
    before = fit(project, config.datasets[0], config.extractors[0]).record
    project.lake.layout.dna_record(before.dna_id).unlink()
    monkeypatch.setattr("dna_pipelines.update.measure.extract_partials", None)
    monkeypatch.setattr(type(project.lake.fingerprints), "_compute_keys", None)
    again = fit(project, config.datasets[0], config.extractors[0])
    assert (again.record.dna_id, again.work.n_computed, again.work.was_current) == (before.dna_id, 0, False)


def test_a_partial_that_cannot_be_written_stops_the_extraction(project, monkeypatch):
    for number in range(20):
        write_image(place(project), f"new{number}.png", 1000 + number)
    refresh(project, project.file.dataset("watched"))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(type(project.lake.fingerprints), "put_partial", full)
    with pytest.raises(OSError) as raised:
        fit(project, project.file.dataset("watched"), project.config().extractors[0])
    assert raised.value.errno == errno.ENOSPC
    # Although the exception still holds references to everything that was in progress.
    assert raised.value.__traceback__
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("extract-")]


def test_everything_the_lake_names_is_inside_it(project):
    inside = [path for path in Path(project.lake.layout.root).rglob("*") if path.is_file()]
    assert not [path for path in inside if path.name.endswith(".draft")]
    assert load(project.config().extractors[0]).layers.n_neurons == 9
