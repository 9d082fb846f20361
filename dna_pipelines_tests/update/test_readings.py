"""Datasets that declare how their files are read: what is identical, what is measured again, what is compared."""

import dataclasses
import io
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from dna_pipelines.errors import SourceError
from dna_pipelines.imaging import decode_with_info
from dna_pipelines.manifests import file_rows
from dna_pipelines.project.current import current_dnas, publish
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update import ingest, listing
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import image_bytes

HEAD = "version: 1\nworkers: 2\nextractors: [{name: toy, batch_size: 4, calibrate_on: [eight]}]\ndatasets:\n"


def tiff(*pages, **settings):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            writer.write(page, metadata=None, **settings)
    return file.getvalue()


def project_of(root, datasets, files):
    """A project; `datasets` has the settings of each, `files` the bytes by path below images/."""
    for path, data in files.items():
        target = root / "images" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    declare(root, datasets)
    return ProjectFolder(root)


def declare(root, datasets):
    (root / "data").mkdir(exist_ok=True)
    lines = [f"  - {{name: {name}, uri: images/{uri}{settings}}}" for name, (uri, settings) in datasets.items()]
    (root / "data" / "datasets.yaml").write_text(HEAD + "\n".join(lines) + "\n")


def updated(project):
    """The work and the changes of each dataset."""
    datasets, extractor = project.config().datasets, project.config().extractors[0]
    changes = {dataset.name: refresh(project, dataset).diff.counts() for dataset in datasets}
    ensure_ranges(project, extractor)
    work = {dataset.name: fit(project, dataset, extractor).work.n_images_extracted for dataset in datasets}
    return work, {name: {what: n for what, n in counts.items() if n} for name, counts in changes.items()}


def rows_of(project, name):
    versions = project.lake.versions
    return versions.manifest(versions.latest(name)).rows


def counts_of(project):
    return {name: project.lake.fingerprints.dna(dna).counts for name, dna in current_dnas(project, "toy").items()}


GREYS = [np.asarray(Image.open(io.BytesIO(image_bytes(number))).convert("L")) for number in range(6)]
CAMERA = {f"camera/{n}.tif": tiff(np.rint(grey * (4095 / 255)).astype(np.uint16)) for n, grey in enumerate(GREYS)}
EIGHT = {f"eight/{n}.tif": tiff(grey) for n, grey in enumerate(GREYS)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    datasets = {
        "eight": ("eight", ""),
        "assumed": ("camera", ""),
        "twelve": ("camera", ", pixels: {bits: 12}"),
        "ranged": ("camera", ", value_range: [0, 4095]"),
    }
    project = project_of(tmp_path_factory.mktemp("made"), datasets, CAMERA | EIGHT)
    updated(project)
    return project


@pytest.fixture
def project(made, tmp_path):
    return ProjectFolder(shutil.copytree(made.root, tmp_path / "project"))


def test_a_camera_of_12_bits_compares_with_files_of_8(made):
    counts = counts_of(made)
    np.testing.assert_array_equal(counts["twelve"], counts["eight"])
    np.testing.assert_array_equal(counts["ranged"], counts["eight"])
    # Read as 16 bits, the files are so dark that a check withholds them.
    assert set(counts) == {"eight", "twelve", "ranged"}


def test_one_file_in_two_readings_is_two_images(made):
    rows = {name: rows_of(made, name) for name in ("assumed", "twelve", "ranged")}
    digests = [{row.digest for row in some} for some in rows.values()]
    assert len(set.union(*digests)) == sum(map(len, digests)) == 18
    assert len({row.of_file for some in rows.values() for row in some}) == 6
    assert {row.read_as.facts.get("bits") for row in rows["twelve"]} == {12}
    assert [row.detail is None for row in rows["twelve"]] == [True] * 6
    assert all("pixels: {bits: 12}" in row.detail for row in rows["assumed"])
    shards = [{row.shard_id for row in some} for some in rows.values()]
    assert len(set.union(*shards)) == 3


def test_what_sql_says(made):
    publish(made)
    found = made.catalog.rows(
        "SELECT dataset, reading, n_clipped, page, digest = file_digest, len(file_digest) FROM images WHERE path = '0.tif'"
        " ORDER BY dataset"
    )
    assert [tuple(row.values()) for row in found] == [
        ("assumed", None, None, None, True, 64),
        ("eight", None, None, None, True, 64),
        ("ranged", '{"value_range": [0.0, 4095.0]}', 0, None, False, 64),
        ("twelve", '{"bits": 12}', None, None, False, 64),
    ]


def test_another_declaration_recomputes_that_dataset_alone(project):
    before = project.lake.versions.latest("twelve").version_id
    datasets = {"eight": ("eight", ""), "twelve": ("camera", ", pixels: {bits: 13}"), "assumed": ("camera", "")}
    declare(project.root, datasets)
    work, changes = updated(project)
    assert work == {"eight": 0, "twelve": 6, "assumed": 0}
    assert changes == {"eight": {}, "twelve": {"reread": 6}, "assumed": {}}
    assert project.lake.versions.latest("twelve").version_id != before
    # Back again, everything is known.
    declare(project.root, datasets | {"twelve": ("camera", ", pixels: {bits: 12}")})
    assert updated(project)[0] == {"eight": 0, "twelve": 0, "assumed": 0}
    assert project.lake.versions.latest("twelve").version_id == before


def test_a_file_that_cannot_be_read_as_declared_is_quarantined_with_its_reason(project):
    declare(project.root, {"eight": ("eight", ""), "twelve": ("camera", ", bands: [2]")})
    refresh(project, project.file.dataset("twelve"))
    assert {(row.status, row.reason) for row in rows_of(project, "twelve")} == {("quarantined", "not as declared")}


def test_clipped_values_are_counted_and_remarked_on(project):
    declare(project.root, {"ranged": ("camera", ", value_range: [100, 2000]")})
    commit = refresh(project, project.file.dataset("ranged")).commit
    clipped = sum(row.n_clipped for row in rows_of(project, "ranged"))
    values = np.concatenate([tifffile.imread(io.BytesIO(data)).ravel() for data in CAMERA.values()])
    assert clipped == np.count_nonzero((values < 100) | (values > 2000)) > 0
    assert f"{clipped:,}" in commit.remark


class TestPages:
    STACK = tuple(grey + np.uint8(0) for grey in GREYS[:3])

    @pytest.fixture
    def stacks(self, tmp_path):
        files = {"stacks/s.tif": tiff(*self.STACK), "stacks/one.tif": tiff(GREYS[4])}
        single = {f"single/{n}.tif": tiff(page) for n, page in enumerate((*self.STACK, GREYS[4]))}
        datasets = {"eight": ("eight", ""), "stacks": ("stacks", ", pages: all"), "single": ("single", "")}
        return project_of(tmp_path, datasets, files | single | EIGHT)

    def test_pages_are_images_like_those_of_single_files(self, stacks):
        updated(stacks)
        counts = counts_of(stacks)
        np.testing.assert_array_equal(counts["stacks"], counts["single"])
        rows = rows_of(stacks, "stacks")
        assert [(row.name, row.page) for row in rows] == [
            ("one.tif", None), ("s.tif", 1), ("s.tif#page=2", 2), ("s.tif#page=3", 3),
        ]  # fmt: skip
        assert len({row.digest for row in rows}) == 4
        assert rows[1].digest == rows[1].of_file == rows[2].of_file
        # Pages of one file are one sampling unit.
        assert [row.group is None for row in rows] == [True, False, False, False]
        assert len({row.group for row in rows[1:]}) == len({row.block for row in rows[1:]}) == 1
        assert stacks.lake.versions.latest("stacks").n_bytes == sum(
            path.stat().st_size for path in (stacks.root / "images" / "stacks").iterdir()
        )

    def test_unchanged_copied_and_renamed_files(self, stacks, monkeypatch):
        updated(stacks)
        folder = stacks.root / "images" / "stacks"
        shutil.copy(folder / "s.tif", folder / "copy.tif")
        (folder / "one.tif").rename(folder / "other.tif")
        monkeypatch.setattr(file_rows, "decode_with_info", None)  # nothing is decoded again
        work, changes = updated(stacks)
        assert changes["stacks"] == {"added": 3, "renamed": 1}
        assert work["stacks"] == 3
        assert {row.digest for row in rows_of(stacks, "stacks") if row.page} == {
            row.digest for row in rows_of(stacks, "stacks") if row.file == b"copy.tif"
        }

    def test_from_the_first_page_to_all(self, stacks):
        declare(stacks.root, {"eight": ("eight", ""), "stacks": ("stacks", "")})
        assert updated(stacks)[1]["stacks"] == {"added": 2}
        assert ["`pages: all`" in (row.detail or "") for row in rows_of(stacks, "stacks")] == [False, True]
        declare(stacks.root, {"eight": ("eight", ""), "stacks": ("stacks", ", pages: first")})
        updated(stacks)
        assert [row.detail for row in rows_of(stacks, "stacks")] == [None, None]
        declare(stacks.root, {"eight": ("eight", ""), "stacks": ("stacks", ", pages: all")})
        assert updated(stacks)[1]["stacks"] == {"added": 2, "regrouped": 1}

    def test_metadata_of_a_file_are_those_of_its_pages(self, stacks):
        (stacks.root / "table.csv").write_text("path,site\ns.tif,a\ns.tif#page=2,b\n")
        declare(
            stacks.root, {"stacks": ("stacks", ", pages: all, metadata: {uri: table.csv}, group_by: 'column:site'")}
        )
        refresh(stacks, stacks.file.dataset("stacks"))
        assert [row.group for row in rows_of(stacks, "stacks")] == [None, "a", "b", "a"]

    def test_a_page_that_is_called_like_a_file(self, stacks):
        shutil.copy(stacks.root / "images/stacks/one.tif", stacks.root / "images/stacks/s.tif#page=2")
        declare(stacks.root, {"stacks": ("stacks", ", pages: all, globs: ['*']")})
        with raises(SourceError, "source.page-name", path="s.tif#page=2", page=2):
            refresh(stacks, stacks.file.dataset("stacks"))

    def test_a_damaged_page_is_quarantined_alone(self, stacks):
        path = stacks.root / "images" / "stacks" / "s.tif"
        path.write_bytes(tiff(GREYS[0], GREYS[1].astype(np.float32) * np.nan, GREYS[2]))
        refresh(stacks, stacks.file.dataset("stacks"))
        rows = rows_of(stacks, "stacks")
        assert [(row.name, row.reason) for row in rows if row.reason] == [("s.tif#page=2", "corrupt")]
        assert stacks.lake.versions.latest("stacks").n_images == 3


PLANES = np.stack([grey.astype(np.uint16) * 257 for grey in GREYS[:3]])


def test_other_rules_read_again_what_they_may_change_and_measure_what_they_did(tmp_path, monkeypatch):
    files = {
        "eight/planes.tif": tiff(PLANES, photometric="rgb", planarconfig="separate"),
        "eight/plain.tif": tiff(GREYS[3]),
        "eight/refused.png": b"no image",
    }
    png = {"eight/photo.png": image_bytes(5), "png/photo.png": image_bytes(5)}
    project = project_of(tmp_path, {"eight": ("eight", ""), "png": ("png", "")}, files | png)

    def by_old_rules(image):
        pixels, info = decode_with_info(image)
        return pixels, dataclasses.replace(info, rules=1)

    with monkeypatch.context() as old:
        old.setattr(file_rows, "decode_with_info", by_old_rules)
        for module in (ingest, listing):
            old.setattr(module, "RULES", 1)
        for dataset in project.config().datasets:
            refresh(project, dataset)
    before = {row.name: row for row in rows_of(project, "eight")}
    assert before["planes.tif"].digest == before["planes.tif"].of_file
    decoded = []
    monkeypatch.setattr(file_rows, "decode_with_info", lambda image: decoded.append(image) or decode_with_info(image))
    changes = {dataset.name: refresh(project, dataset).diff.counts() for dataset in project.config().datasets}
    # Another format is neither decoded nor measured again; a TIFF whose pixels are the same is decoded.
    assert len(decoded) == 3
    assert [counts.pop("reread") for counts in changes.values()] == [1, 0]
    assert not any(any(counts.values()) for counts in changes.values())
    after = {row.name: row for row in rows_of(project, "eight")}
    assert {name for name, row in after.items() if row.digest != before[name].digest} == {"planes.tif"}
    assert after["planes.tif"].read_as.facts == {"rules": 2}
    assert project.lake.versions.latest("png").seq == 2
    assert all(refresh(project, dataset).was_current for dataset in project.config().datasets)
