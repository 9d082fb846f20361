"""Archives, tables and samples through the whole pipeline."""

import io
import json
import os
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.errors import SourceError
from dna_pipelines.project.current import publish
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.listing import list_location
from dna_pipelines_tests.cli.conftest import invoke, snapshot
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import image_bytes, toy_project

LONG_AGO = 1_700_000_000


@pytest.fixture
def project(tmp_path):
    """A project whose datasets file is written by each test."""
    project = toy_project(tmp_path, {})

    def entry(text):
        project.file.path.write_text(project.file.path.read_text() + text)
        return project

    project.entry = entry
    return project


def write_shard(path, numbers, weather="rain"):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as file:
        for number in numbers:
            described = json.dumps({"weather": weather, "parity": number % 2}).encode()
            for name, data in ((f"{number}.png", image_bytes(number)), (f"{number}.json", described)):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    os.utime(path, (LONG_AGO, LONG_AGO))


def brought_up_to_date(project, name):
    done = refresh(project, project.file.dataset(name))
    ensure_ranges(project, project.config().extractors[0])
    return done, fit(project, project.file.dataset(name), project.config().extractors[0])


SHARDS = "  - name: w\n    uri: shards/*.tar\n    group_by: column:parity\n    metadata: {uri: table.csv}\n"


def test_shards_with_metadata_become_a_dataset_that_can_be_sliced(project):
    project.entry(SHARDS)
    shards = project.root / "shards"
    write_shard(shards / "0.tar", range(6))
    write_shard(shards / "1.tar", range(6, 10), "sun")
    (project.root / "table.csv").write_text("path,camera,weather\n0.tar/0.png,front,snow\n")
    done, _ = brought_up_to_date(project, "w")
    rows = {row.name: row for row in done.manifest.readable}
    # The table has the last word, and adds its columns to those of the archive.
    assert rows["0.tar/0.png"].metadata == {"weather": "snow", "parity": "0", "camera": "front"}
    assert rows["1.tar/9.png"].metadata == {"weather": "sun", "parity": "1"}
    assert {row.group for row in rows.values()} == {"0", "1"}
    summary = compare_pair(project, "w[weather=sun]", "w[weather=rain]").to_json()
    assert summary["n_images_extracted"] == {"w[weather=sun]": 4, "w[weather=rain]": 5}


def test_what_is_said_of_an_image_may_change_without_the_image(project):
    project.entry("  - name: w\n    uri: shards/*.tar\n")
    write_shard(project.root / "shards" / "0.tar", range(4))
    before, _ = brought_up_to_date(project, "w")
    assert list_location(project, project.file.dataset("w")).is_current
    write_shard(project.root / "shards" / "0.tar", range(4), "hail")
    os.utime(project.root / "shards" / "0.tar", (LONG_AGO + 9, LONG_AGO + 9))
    after, fitted = brought_up_to_date(project, "w")
    assert {row.metadata["weather"] for row in after.manifest.readable} == {"hail"}
    assert after.commit.version_id == before.commit.version_id
    assert fitted.work.was_current


def test_a_shard_that_is_added_is_all_that_is_read(project):
    project.entry("  - name: w\n    uri: shards/*.tar\n")
    for shard in range(3):
        write_shard(project.root / "shards" / f"{shard}.tar", range(4 * shard, 4 * shard + 4))
    brought_up_to_date(project, "w")
    kept = sorted((project.root / "data" / "lake" / "contents").iterdir())
    assert len(kept) == 3
    times = [path.stat().st_mtime_ns for path in kept]
    write_shard(project.root / "shards" / "3.tar", range(12, 16))
    done, fitted = brought_up_to_date(project, "w")
    assert done.diff.counts()["added"] == fitted.work.n_images_extracted == 4
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_looking_before_there_is_a_lake_writes_nothing(project):
    project.entry("  - name: w\n    uri: shards/*.tar\n")
    write_shard(project.root / "shards" / "0.tar", range(4))
    before = snapshot(project.root)
    assert invoke("--root", project.root, "scan").code == 0
    assert snapshot(project.root) == before


def test_a_column_to_group_by_that_nothing_has_is_an_error(project):
    project.entry("  - name: w\n    uri: shards/*.tar\n    group_by: column:patient\n")
    write_shard(project.root / "shards" / "0.tar", range(4))
    with raises(SourceError, "source.group-column", dataset="w", column="patient", columns=["parity", "weather"]):
        refresh(project, project.file.dataset("w"))


def test_a_table_in_the_layout_of_hugging_face_is_a_dataset(project):
    images = [{"bytes": image_bytes(number), "path": f"{number}.png"} for number in range(10)]
    (project.root / "hf").mkdir()
    table = pa.table({"image": images, "label": [number % 2 for number in range(10)]})
    pq.write_table(table, project.root / "hf" / "train.parquet", row_group_size=3)
    project.entry("  - name: hf\n    uri: hf\n    kind: parquet\n")
    done, fitted = brought_up_to_date(project, "hf")
    assert fitted.work.n_images_extracted == 10
    assert done.manifest.readable[0].metadata == {"label": "0", "image.path": "0.png"}
    assert done.commit.n_bytes == sum(len(image["bytes"]) for image in images)


def test_what_a_sample_leaves_out_is_counted_everywhere(project):
    folder = project.root / "images" / "a"
    folder.mkdir(parents=True)
    for number in range(40):
        (folder / f"{number}.png").write_bytes(image_bytes(number))
    project.entry("  - name: a\n    uri: images/a\n    limit: 12\n    seed: 3\n")
    (seen,) = invoke("--root", project.root, "scan", "--json").json
    assert (seen["n_images"], seen["n_not_sampled"]) == (12, 28)
    assert "28" in invoke("--root", project.root, "scan").out
    done, _ = brought_up_to_date(project, "a")
    assert (done.commit.n_images, done.commit.n_not_sampled) == (12, 28)
    (status,) = invoke("--root", project.root, "status", "--json").json
    assert status["n_not_sampled"] == 28
    assert "28" in invoke("--root", project.root, "status").out
    publish(project)
    assert project.catalog.rows("SELECT n_not_sampled FROM datasets") == [{"n_not_sampled": 28}]
    before = {row.name for row in done.manifest.readable}
    project.file.path.write_text(project.file.path.read_text().replace("limit: 12", "limit: 20"))
    after, fitted = brought_up_to_date(project, "a")
    assert {row.name for row in after.manifest.readable} > before
    assert fitted.work.n_images_extracted == 8
