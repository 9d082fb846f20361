"""`dna add` and `dna remove` on a file that was written by hand."""

import errno
import os
from pathlib import Path

import pytest

from dna_pipelines.config import DatasetsFile
from dna_pipelines.errors import ConfigError, UnknownName
from dna_pipelines_tests.raising import raises

BY_HAND = """\
# Watched by the night shift.
version: 1
datasets: # in the order of the matrix
  # Berlin, roof
  - name: berlin
    uri: images/berlin # new camera
    globs: ['*.jpg', "new/*.png"]
  # Munich, gate
  - name: munich
    uri: images/munich # old camera
    # moved in May
  # Cologne, bridge
  - name: cologne
    uri: images/cologne
# Networks
extractors:
  - name: seeded_cnn # the default
# the end
"""


def comments(text):
    return ["#" + line.partition("#")[2] for line in text.splitlines() if "#" in line]


def names(file):
    return [dataset.name for dataset in file.load().datasets]


def test_the_template_parses_and_has_no_datasets(file):
    assert file.create()
    assert file.load().datasets == ()


def test_what_the_template_shows_parses_when_uncommented(file, written):
    file.create()
    lines = [line.removeprefix("# ") for line in file.path.read_text().splitlines()[2:] if line.startswith("# ")]
    config = written("\n".join(lines) + "\n").load
    assert [dataset.name for dataset in config().datasets] == ["cameras-berlin"]
    assert config().extractors[0].calibrate_on == ("cameras-berlin",)


def test_an_existing_file_is_not_overwritten(written):
    file = written("version: 1\n")
    assert not file.create()
    assert file.path.read_text() == "version: 1\n"


def test_adding_to_the_template_keeps_its_comments(file):
    file.create()
    before = comments(file.path.read_text())
    added = file.add({"name": "a", "uri": "images", "globs": ["*.png"], "tags": {"team": "x"}})
    assert (added.uri, added.globs, added.tags) == ("images", ("*.png",), {"team": "x"})
    assert comments(file.path.read_text()) == before


def test_adding_keeps_every_comment_and_every_dataset(written):
    file = written(BY_HAND)
    file.add({"name": "hamburg", "uri": "images/hamburg"})
    assert names(file) == ["berlin", "munich", "cologne", "hamburg"]
    assert comments(file.path.read_text()) == comments(BY_HAND)


@pytest.mark.parametrize("text", ["", "version: 1\n", "datasets: []\n", "datasets:\n"])
def test_the_first_dataset_can_be_added_to_any_valid_file(written, text):
    file = written(text)
    file.checked({"name": "a", "uri": "x"})
    file.add({"name": "a", "uri": "x"})
    assert names(file) == ["a"]


@pytest.mark.parametrize("name", ["null", "true", "1.5", "0x10", "2024-01-01", "1_000", "12e3", "007", "No"])
def test_a_name_that_looks_like_another_type_stays_a_name(file, name):
    file.create()
    file.add({"name": name, "uri": name})
    assert (file.dataset(name).name, file.dataset(name).uri) == (name, name)


@pytest.mark.parametrize(
    "uri", ["a: b #c", "[x] {y}", "it's", 'say "x"', "two  blanks " * 20 + "x", "ünï\tcode", "*.x", "s3://b/p"]
)
def test_any_uri_is_read_as_it_was_added(file, uri):
    file.create()
    file.add({"name": "a", "uri": uri})
    assert file.dataset("a").uri == uri


@pytest.mark.parametrize(
    ("entry", "code", "line"),
    [
        ({"name": "BERLIN", "uri": "x"}, "config.name-taken", 16),
        ({"name": "bad name", "uri": "x"}, "config.bad-name", 16),
        ({"name": "x", "uri": "x", "group_by": "regex:("}, "config.bad-regex", 18),
        ({"name": "x", "uri": "x", "colour": "red"}, "config.unknown-key", 18),
    ],
)
def test_a_failing_add_leaves_the_folder_as_it_was(written, entry, code, line):
    file = written(BY_HAND)
    with raises(ConfigError, code):
        file.checked(entry)
    with raises(ConfigError, code, line=line, file=str(file.path)):
        file.add(entry)
    assert file.path.read_text() == BY_HAND
    assert list(file.path.parent.iterdir()) == [file.path]


@pytest.mark.parametrize(
    ("removed", "theirs"),
    [("berlin", ["# new camera"]), ("munich", ["# old camera", "# moved in May"]), ("cologne", [])],
)
def test_removing_a_dataset_keeps_the_comments_of_the_others(written, removed, theirs):
    """Only the comments of the removed entry may disappear."""
    file = written(BY_HAND)
    file.remove(removed)
    assert names(file) == [name for name in ("berlin", "munich", "cologne") if name != removed]
    title = {"berlin": "# Berlin, roof", "munich": "# Munich, gate", "cologne": "# Cologne, bridge"}[removed]
    kept = [comment for comment in comments(BY_HAND) if comment not in {title, *theirs}]
    assert set(kept) <= set(comments(file.path.read_text()))


def test_removing_the_last_dataset_leaves_a_valid_file(file):
    file.create()
    file.add({"name": "a", "uri": "x"})
    file.remove("a")
    assert names(file) == []
    file.add({"name": "b", "uri": "y"})
    assert names(file) == ["b"]


@pytest.mark.parametrize(("name", "suggestion"), [("berln", "berlin"), ("zzz", None)])
def test_removing_an_unknown_dataset_is_refused_with_a_suggestion(written, name, suggestion):
    file = written(BY_HAND)
    known = ["berlin", "munich", "cologne"]
    with raises(UnknownName, "name.dataset", name=name, suggestion=suggestion, known=known):
        file.remove(name)
    assert file.path.read_text() == BY_HAND


def test_a_file_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    def refused(*_arguments, **_named):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    file = DatasetsFile(tmp_path / "data" / "datasets.yaml")
    file.create()
    monkeypatch.setattr(Path, "write_text", refused)
    with raises(ConfigError, "config.unwritable", errno=errno.EACCES, file=str(file.path)):
        file.add({"name": "a", "uri": "images"})
    new = DatasetsFile(tmp_path / "new" / "datasets.yaml")
    with raises(ConfigError, "config.unwritable", errno=errno.EACCES, file=str(new.path)):
        new.create()
