"""A location that exists, and of which no file belongs to the dataset: the remark names the globs and an example."""

import io
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dna_pipelines.config import DatasetConfig
from dna_pipelines.manifests import ImageRow, Manifest, Scan
from dna_pipelines.project.checks import check_manifest
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.sources import Entry
from dna_pipelines.update.ingest import draft, refresh
from dna_pipelines.update.listing import list_location
from dna_pipelines.update.remarks import remark_on
from dna_pipelines_tests.cli.conftest import invoke
from dna_pipelines_tests.toy import image_bytes, toy_project, write_image


def packed(kind):
    """One image called a.png, in a file of a kind."""
    data, buffer = image_bytes(0), io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("a.png", data)
    elif kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as file:
            info = tarfile.TarInfo("a.png")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    else:
        pq.write_table(pa.table({"image": pa.array([data] if kind == "parquet" else [], pa.binary())}), buffer)
    return buffer.getvalue()


@pytest.fixture
def dataset(tmp_path):
    """A project with one dataset of a location and settings."""

    def made(uri, settings=""):
        toy_project(tmp_path, {})
        with (tmp_path / "data" / "datasets.yaml").open("a") as file:
            file.write(f"  - name: d\n    uri: {uri}\n" + "".join(f"    {line}\n" for line in settings.splitlines()))
        project = ProjectFolder(tmp_path)
        return project, project.file.dataset("d")

    return made


@pytest.mark.parametrize(
    ("name", "data", "settings", "named"),
    [
        ("im/a.png", b"", "globs: ['*.jpg', 'b/**']", ["im", "globs: [*.jpg, b/**]", "1 ", "a.png"]),
        ("im/a.png", b"", "exclude: ['a*']", ["im", "exclude: [a*]", "1 ", "a.png"]),
        ("im/a.png", b"", "globs: [b]\nexclude: [c]", ["im", "globs: [b]", "exclude: [c]", "1 ", "a.png"]),
        ("im/a.txt", b"", "", ["im", "globs", "1 ", "a.txt"]),
        ("list.txt", b"a.png\n", "globs: ['*.jpg']", ["list.txt", "globs: [*.jpg]", "1 ", "a.png"]),
        ("list.txt", b"# nothing\n", "", ["list.txt"]),
        ("a.zip", packed("zip"), "globs: ['*.jpg']", ["a.zip", "globs: [*.jpg]", "1 ", "a.png"]),
        ("a.tar", packed("tar"), "globs: ['*.jpg']", ["a.tar", "globs: [*.jpg]", "1 ", "a.png"]),
        ("a.parquet", packed("parquet"), "globs: [b]", ["globs: [b]", "1 ", "a.parquet"]),
        ("a.parquet", packed("no rows"), "", ["a.parquet"]),
    ],
)
def test_the_remark_on_a_location_without_files_names_globs_and_an_example(
    dataset, tmp_path, name, data, settings, named
):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
    project, config = dataset(name.partition("/")[0], settings)
    scan = list_location(project, config)
    remark = draft(project, scan).remark
    assert [text for text in named if text not in remark] == []
    assert ("1 " in named) == (scan.scan.n_ignored == 1)


def test_a_remote_object_that_no_glob_selects_is_an_example(dataset, memory):
    memory("im/a.png", b"1")
    project, config = dataset(f"{memory.uri}/im", "globs: ['*.jpg']")
    scan = list_location(project, config)
    assert "a.png" in draft(project, scan).remark
    assert scan.scan.n_ignored == 1


def test_a_sample_without_files_is_remarked(dataset, tmp_path):
    write_image(tmp_path / "im", "a.png", 1)
    project, config = dataset("im", "every: 1000000")
    scan = list_location(project, config)
    remark = draft(project, scan).remark
    assert (scan.scan.n_not_sampled, "1 " in remark, "im" in remark) == (1, True, True)


def test_the_remark_is_shown_by_the_commands_and_by_the_check(dataset, tmp_path):
    write_image(tmp_path / "im", "a.png", 1)
    project, config = dataset("im")
    assert refresh(project, config).commit.remark == ""
    file = tmp_path / "data" / "datasets.yaml"
    file.write_text(file.read_text() + "    globs: ['*.jpg']\n")
    project = ProjectFolder(tmp_path)
    remark = draft(project, list_location(project, project.file.dataset("d"))).remark
    assert "globs: [*.jpg]" in remark
    for command in ("scan", "run", "run"):
        assert invoke("--root", tmp_path, command).names(remark)
    commit = project.lake.versions.latest("d")
    (said,) = [check.message for check in check_manifest(config, commit) if check.name == "not_empty"]
    assert remark in said


@pytest.mark.parametrize(("group_by", "remarked"), [("folder", True), (r"regex:(\d+)", False), (None, False)])
def test_a_grouping_that_makes_one_group_of_all_is_remarked(dataset, tmp_path, group_by, remarked):
    config = DatasetConfig(name="d", uri="u", group_by=group_by)
    rows = [
        ImageRow(b"in/%d.png" % n, 1, "s", "ok", f"{n}", "in" if group_by == "folder" else f"{n}") for n in range(3)
    ]
    scan = Scan((Entry(b"in/0.png", 1, "s"),), 0, frozenset())
    assert bool(remark_on(config, scan, {}, Manifest(tuple(rows), ()))) == remarked


@pytest.mark.parametrize(
    ("groups", "remarked"), [("aab", None), ("a-b", "1 of 3"), ("---", "3 of 3"), ("aaa", "all 3")]
)
def test_images_without_a_group_are_remarked_on(groups, remarked):
    config = DatasetConfig(name="d", uri="u", group_by="regex:(a|b)")
    rows = [
        ImageRow(b"%d.png" % n, 1, "s", "ok", f"{n}", None if group == "-" else group) for n, group in enumerate(groups)
    ]
    remark = remark_on(config, Scan((Entry(b"0.png", 1, "s"),), 0, frozenset()), {}, Manifest(tuple(rows), ()))
    assert (remarked in remark) if remarked else not remark
