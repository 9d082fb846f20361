"""A place that is there, and of which not a single file is taken: that is said, with what would have been there."""

import io
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dna_pipelines.project.checks import check_manifest
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.ingest import draft, look, refresh
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
    """A project with one dataset of a place and settings."""

    def made(uri, settings=""):
        toy_project(tmp_path, {})
        with (tmp_path / "data" / "datasets.yaml").open("a") as file:
            file.write(f"  - name: d\n    uri: {uri}\n" + "".join(f"    {line}\n" for line in settings.splitlines()))
        project = ProjectFolder(tmp_path)
        return project, project.file.dataset("d")

    return made


@pytest.mark.parametrize(
    ("name", "data", "settings", "remark"),
    [
        ("im/a.png", b"", "globs: ['*.jpg', 'b/**']", "no file at im passes `globs: [*.jpg, b/**]`: 1 ignored, EG"),
        ("im/a.png", b"", "exclude: ['a*']", "no file at im passes `exclude: [a*]`: 1 ignored, EG"),
        ("im/a.png", b"", "globs: [b]\nexclude: [c]", "passes `globs: [b]` and `exclude: [c]`: 1 ignored, EG"),
        ("im/a.txt", b"", "", "has the suffix of an image (`globs` can ask for others): 1 ignored, such as a.txt"),
        ("list.txt", b"a.png\n", "globs: ['*.jpg']", "no file at list.txt passes `globs: [*.jpg]`: 1 ignored, EG"),
        ("list.txt", b"# nothing\n", "", "there is nothing at list.txt: no file, no line and no row"),
        ("a.zip", packed("zip"), "globs: ['*.jpg']", "no file at a.zip passes `globs: [*.jpg]`: 1 ignored, EG"),
        ("a.tar", packed("tar"), "globs: ['*.jpg']", "no file at a.tar passes `globs: [*.jpg]`: 1 ignored, EG"),
        ("a.parquet", packed("parquet"), "globs: [b]", "passes `globs: [b]`: 1 ignored, such as a.parquet"),
        ("a.parquet", packed("no rows"), "", "there is nothing at a.parquet: no file, no line and no row"),
    ],
)
def test_a_place_of_which_no_file_is_taken_is_told(dataset, tmp_path, name, data, settings, remark):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
    project, config = dataset(name.partition("/")[0], settings)
    assert draft(project, look(project, config)).remark.endswith(remark.replace("EG", "such as a.png"))


def test_an_object_far_away_that_no_glob_asks_for_is_an_example(dataset, memory):
    memory("im/a.png", b"1")
    project, config = dataset(f"{memory.uri}/im", "globs: ['*.jpg']")
    assert draft(project, look(project, config)).remark.endswith("1 ignored, such as a.png")


def test_a_sample_that_takes_no_file_is_told(dataset, tmp_path):
    write_image(tmp_path / "im", "a.png", 1)
    project, config = dataset("im", "every: 1000000")
    assert "the sample takes none of the 1 files at im" in draft(project, look(project, config)).remark


def test_it_is_said_by_the_commands_and_by_the_check(dataset, tmp_path):
    write_image(tmp_path / "im", "a.png", 1)
    project, config = dataset("im")
    assert refresh(project, config).commit.remark == ""
    file = tmp_path / "data" / "datasets.yaml"
    file.write_text(file.read_text() + "    globs: ['*.jpg']\n")
    project = ProjectFolder(tmp_path)
    remark = "no file at im passes `globs: [*.jpg]`: 1 ignored, such as a.png"
    for command in ("scan", "run", "run"):
        assert invoke("--root", tmp_path, command).tells(remark)
    commit = project.lake.versions.latest("d")
    (said,) = [one.said for one in check_manifest(config, commit) if one.name == "not_empty"]
    assert said == f"0 readable images at im ({remark})"
