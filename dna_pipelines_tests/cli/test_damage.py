"""A damaged lake and a disk that cannot be written to are messages that name the file or folder and what to do."""

import os

import pytest


@pytest.fixture
def lake(project):
    return project / "data" / "lake"


def damaged(lake, pattern, size=700):
    """The last file of a pattern, cut off."""
    path = max(lake.glob(pattern))
    os.truncate(path, min(size, path.stat().st_size - 1))
    return path


@pytest.mark.parametrize("command", ["run", "matrix", "sql"])
@pytest.mark.parametrize(
    ("pattern", "size", "statement"),
    [
        ("dna/histogram/*.parquet", 700, "SELECT sum(mean) FROM dna"),
        ("datasets/d0/manifests/*.parquet", 700, "FROM images"),
        ("distances/layers/*.parquet", 0, "FROM layer_distances"),
    ],
)
def test_a_damaged_table_is_named_and_made_again_once_it_is_removed(
    project, lake, dna, command, pattern, size, statement
):
    for path in lake.glob(pattern):
        os.truncate(path, size)
    # What is written anew reads every table.
    (lake / "catalog.sql").unlink()
    said = dna(*({"sql": ["sql", statement]}.get(command, [command])))
    assert said.code == 1
    assert said.tells("is damaged")
    assert said.tells("remove it and run `dna run`")
    named = [path for path in lake.glob(pattern) if said.tells(str(path))]
    assert len(named) == 1
    for path in lake.glob(pattern):
        path.unlink()
    assert dna("run").code == 0
    assert dna("matrix").code == 0
    assert dna("sql", statement).code == 0


def test_a_damaged_table_among_sound_ones_is_found_when_it_is_read(project, lake, dna):
    path = damaged(lake, "dna/moments/*.parquet")
    said = dna("sql", "SELECT sum(mean) FROM dna")
    assert said.code == 1
    assert said.tells(f"{path} is damaged")
