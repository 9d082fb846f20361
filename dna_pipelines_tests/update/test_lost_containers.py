"""Archives, tables and folders that cannot be read count as the images that they held, and not as one file."""

import io
import os
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dna_pipelines.config import DatasetConfig
from dna_pipelines.project.checks import check_manifest
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.ingest import draft, refresh
from dna_pipelines.update.listing import list_location
from dna_pipelines_tests.toy import image_bytes, toy_project

N_PER_SHARD = 4


def tar_of(numbers) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for number in numbers:
            info, data = tarfile.TarInfo(f"{number}.png"), image_bytes(number)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def parquet_of(numbers) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [image_bytes(number) for number in numbers]}), buffer)
    return buffer.getvalue()


@pytest.fixture
def project(tmp_path):
    """A project of no images, to which each test adds a location."""
    return toy_project(tmp_path, {"other": {"a.png": 1}})


def dataset_of(project: ProjectFolder, make, suffix: str, numbers=range(3)) -> DatasetConfig:
    for shard in numbers:
        data = make(range(shard * N_PER_SHARD, (shard + 1) * N_PER_SHARD))
        (project.root / f"s-{shard}.{suffix}").write_bytes(data)
    return DatasetConfig(name="shards", uri=f"s-{{0..2}}.{suffix}")


def readable(dataset, commit):
    (check,) = (check for check in check_manifest(dataset, commit) if check.name == "readable")
    return check


@pytest.mark.parametrize(("make", "suffix"), [(tar_of, "tar"), (parquet_of, "parquet")])
def test_a_shard_that_is_lost_emptied_or_replaced_counts_as_its_images(project, make, suffix):
    dataset = dataset_of(project, make, suffix)
    assert readable(dataset, refresh(project, dataset).commit).passed
    shard = project.root / f"s-2.{suffix}"
    # One after the other: the number is known from the last scan that saw the images, however many came since.
    for number, data in enumerate((None, b"", b"<html>503</html>" * 50)):
        shard.unlink() if data is None else shard.write_bytes(data)
        listing = list_location(project, dataset)
        commit = refresh(project, dataset, None, listing).commit
        assert (commit.n_images, commit.n_quarantined, commit.n_lost, commit.n_unknown) == (8, 1, 3, 0), data
        check = readable(dataset, commit)
        assert not check.passed
        assert check.figures["unreadable_share"] == pytest.approx(4 / 12)
        assert ("4 of 12 images" in check.message, "touched" in listing.occasion) == (True, False), number
    shard.write_bytes(make(range(2 * N_PER_SHARD, 3 * N_PER_SHARD)))
    commit = refresh(project, dataset).commit
    assert (commit.n_images, commit.n_quarantined, commit.n_lost) == (12, 0, 0)


def test_a_cut_shard_that_is_then_replaced_counts_as_all_its_images(project):
    """Also its last member, which the cut left unreadable."""
    dataset = dataset_of(project, tar_of, "tar")
    whole = tar_of(range(8, 12))
    refresh(project, dataset)
    inside_the_second = whole.index(b"9.png") + 600
    for data in (whole[:inside_the_second], b"<html>503</html>" * 50):
        (project.root / "s-2.tar").write_bytes(data)
        commit = refresh(project, dataset).commit
        assert commit.n_images + commit.n_quarantined + commit.n_lost == 12


def test_a_cut_shard_counts_as_the_images_behind_the_cut(project):
    dataset = dataset_of(project, tar_of, "tar")
    whole = tar_of(range(8, 12))
    (project.root / "s-2.tar").write_bytes(whole)
    refresh(project, dataset)
    second = whole.index(b"10.png")
    (project.root / "s-2.tar").write_bytes(whole[: second + 100])
    commit = refresh(project, dataset).commit
    # Two members, then one unreadable archive that stands for two images.
    assert (commit.n_images, commit.n_quarantined, commit.n_lost) == (10, 1, 1)
    (project.root / "s-2.tar").unlink()
    commit = refresh(project, dataset).commit
    assert (commit.n_images, commit.n_quarantined, commit.n_lost) == (8, 1, 3)


def test_one_archive_alone_that_is_cut_counts_as_the_images_behind_the_cut(project):
    path, whole = project.root / "all.tar", tar_of(range(10))
    path.write_bytes(whole)
    dataset = DatasetConfig(name="alone", uri="all.tar")
    refresh(project, dataset)
    path.write_bytes(whole[: whole.index(b"4.png")])
    commit = refresh(project, dataset).commit
    assert (commit.n_images, commit.n_quarantined, commit.n_lost) == (4, 1, 5)


def test_a_shard_that_was_never_read_blocks_unless_any_share_may_be_unreadable(project):
    dataset = dataset_of(project, tar_of, "tar", numbers=range(2))
    commit = refresh(project, dataset).commit
    assert (commit.n_images, commit.n_quarantined, commit.n_lost, commit.n_unknown) == (8, 1, 0, 1)
    assert not readable(dataset, commit).passed
    lenient = dataset.model_copy(update={"checks": dataset.checks.model_copy(update={"max_unreadable": 0.99})})
    assert not readable(lenient, commit).passed
    lenient = dataset.model_copy(update={"checks": dataset.checks.model_copy(update={"max_unreadable": 1.0})})
    assert readable(lenient, commit).passed


def test_an_archive_without_an_end_mark_is_read_and_does_not_block(project):
    """Some writers omit the mark: nothing shows that an image is missing."""
    dataset = dataset_of(project, tar_of, "tar")
    path, whole = project.root / "s-0.tar", tar_of(range(20))
    path.write_bytes(whole.rstrip(b"\0") + b"\0" * (-len(whole.rstrip(b"\0")) % 512))
    commit = refresh(project, dataset).commit
    assert (commit.n_images, commit.n_quarantined, commit.n_lost, commit.n_unknown) == (28, 1, 0, 0)
    assert readable(dataset, commit).passed


def test_a_folder_that_can_no_longer_be_listed_counts_as_its_images(project, monkeypatch):
    folder = project.root / "photos"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            (folder / name / f"{number}.png").write_bytes(image_bytes(number))
    dataset = DatasetConfig(name="photos", uri="photos")
    refresh(project, dataset)
    scandir = os.scandir

    def refuse(path):
        if bytes(path).endswith(b"/b/"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    commit = refresh(project, dataset).commit
    assert (commit.n_images, commit.n_quarantined, commit.n_lost, commit.n_unknown) == (3, 1, 2, 0)
    without = dataset.model_copy(update={"exclude": ("b/**",)})
    assert draft(project, list_location(project, without)).manifest.quarantined == []


def test_the_number_of_lost_images_is_part_of_a_manifest_and_stored_with_it(project):
    dataset = dataset_of(project, tar_of, "tar")
    whole = refresh(project, dataset).manifest
    (project.root / "s-2.tar").unlink()
    done = refresh(project, dataset)
    stored = project.lake.versions.manifest(done.commit)
    assert (whole.lost, stored.lost) == ({}, {b"s-2.tar": 4})
    assert stored.id == done.commit.manifest_id
