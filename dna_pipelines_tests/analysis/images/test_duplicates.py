"""Duplicates: planted ones are found, and counted as images."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from dna_pipelines.analysis.images.duplicates import find_duplicates, leakage
from dna_pipelines.errors import Incomparable, UserError
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.analysis.images.test_attribution import bring_up_to_date
from dna_pipelines_tests.cli.conftest import invoke
from dna_pipelines_tests.toy import image_bytes, toy_project


def nearly(number):
    """An image with one level more in one pixel."""
    pixels = np.asarray(Image.open(io.BytesIO(image_bytes(number)))).copy()
    pixels[2, 3, 1] += 1 if pixels[2, 3, 1] < 255 else -1
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`train` has 0 to 29, and 3 twice; `test` has 100 to 119, a copy of 5 twice, and one that is nearly 7."""
    root = tmp_path_factory.mktemp("made")
    train = {f"{number}.png": number for number in range(30)} | {"again.png": 3}
    test = {f"{number}.png": number for number in range(100, 120)} | {"five.png": 5, "five-again.png": 5}
    project = toy_project(root, {"train": train, "test": test}, "", "calibrate_on: [train]")
    (root / "images" / "test" / "seven.png").write_bytes(nearly(7))
    bring_up_to_date(project)
    return root


# The toy network has five bits: nearness rests on the distance.
STRICT = {"most_bits": 0.3, "most_distance": 0.05}


def told(found):
    return [(found.a.rows[pair.place_a].name, found.b.rows[pair.place_b].name, pair.exact) for pair in found.pairs]


def test_what_two_datasets_share(made):
    found = find_duplicates(ProjectFolder(made), "test", "train", **STRICT)
    exact, near = told(found)
    assert exact[0] in ("five.png", "five-again.png")
    assert exact[1:] == ("5.png", True)
    assert near == ("seven.png", "7.png", False)
    assert (found.exact_a, found.near_a, found.exact_b, found.near_b) == (2, 1, 1, 1)


def test_what_one_dataset_has_twice(made):
    found = find_duplicates(ProjectFolder(made), "train", **STRICT)
    assert {*told(found)[0][:2]} == {"3.png", "again.png"}
    assert (found.exact_a, found.near_a) == (1, 0)


def test_without_a_distance_only_equal_bytes_and_equal_averages_remain(made):
    found = find_duplicates(ProjectFolder(made), "test", "train", most_bits=0, most_distance=0)
    assert [exact for _, _, exact in told(found)] == [True]


def test_the_table_of_leakage_has_every_pair(made):
    found = {(one.a.label, one.b.label): one for one in leakage(ProjectFolder(made), ["train", "test"], **STRICT)}
    assert found["train", "test"].exact_b == 2
    assert found["train", "train"].exact_a == 1
    assert found["test", "test"].exact_a == 1


def test_too_many_pairs_say_what_to_do(made, monkeypatch):
    monkeypatch.setattr("dna_pipelines.comparison.codes.near_pairs.__defaults__", (3,))
    with pytest.raises(UserError, match="smaller distance"):
        find_duplicates(ProjectFolder(made), "train", most_bits=0.5)


@pytest.fixture
def with_plain(made, tmp_path):
    """`train` and `test` have a plain image each, not quite the same, and one more of equal bytes."""
    root = shutil.copytree(made, tmp_path / "project")
    for dataset, level in (("train", 127), ("test", 128)):
        Image.new("RGB", (6, 6), (level, level, level)).save(root / "images" / dataset / "plain.png")
        Image.new("RGB", (6, 6), (128, 0, 0)).save(root / "images" / dataset / "red.png")
    bring_up_to_date(ProjectFolder(root))
    return root


def test_plain_images_are_compared_by_their_bytes_only(with_plain, monkeypatch):
    found = find_duplicates(ProjectFolder(with_plain), "test", "train", **STRICT)
    assert ("red.png", "red.png", True) in told(found)
    assert ("seven.png", "7.png", False) in told(found)
    assert not any("plain.png" in pair for pair in told(found))
    # To so small a network some of the others are plain, too.
    assert 2 <= found.plain_a < 10
    assert 2 <= found.plain_b < 10
    assert found.plain_unknown is None
    # What the network says of one colour is kept: nothing is measured again.
    monkeypatch.setattr("dna_pipelines.update.remeasure.partials_of", lambda *_: pytest.fail("measured again"))
    again = find_duplicates(ProjectFolder(with_plain), "train", "test", **STRICT)
    assert (again.plain_a, again.near_a) == (found.plain_b, found.near_b)
    said = invoke("--root", with_plain, "duplicates", "test", "train", "--bits", 0.3, "--distance", 0.05)
    assert said.tells(f"{found.plain_a + found.plain_b} plain images were compared by bytes only")


def test_without_the_network_all_images_are_compared_and_a_note_says_so(with_plain, monkeypatch):
    def changed(*_):
        raise Incomparable("toy is no longer what the DNAs were made with")

    monkeypatch.setattr("dna_pipelines.analysis.images.duplicates.one_coloured_features", changed)
    found = find_duplicates(ProjectFolder(with_plain), "test", "train", **STRICT)
    assert ("plain.png", "plain.png", False) in told(found)
    assert (found.plain_a, found.plain_b) == (0, 0)
    said = invoke("--root", with_plain, "duplicates", "test", "train", "--bits", 0.3, "--distance", 0.05)
    assert said.tells("toy is no longer what the DNAs were made with")


def test_the_command(made, tmp_path):
    limits = ("--bits", 0.3, "--distance", 0.05)
    said = invoke("--root", made, "duplicates", "test", "train", *limits, "--picture", tmp_path / "sheet.png")
    assert said.code == 0
    assert "seven.png" in said.out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 200
    assert invoke("--root", made, "duplicates", "test", "train", *limits, "--strict").code == 1
    found = invoke("--root", made, "duplicates", "train", *limits, "--json").json
    assert (found["n_exact_a"], found["b"]) == (1, None)
    assert "2 + 1" in invoke("--root", made, "duplicates", *limits).out
    assert len(invoke("--root", made, "duplicates", *limits, "--json").json) == 3
    assert invoke("--root", made, "duplicates", "--picture", "x.png").code == 1


def test_a_dataset_without_duplicates_passes(made, tmp_path):
    root = shutil.copytree(made, tmp_path / "project")
    (root / "images" / "train" / "again.png").unlink()
    bring_up_to_date(ProjectFolder(root))
    assert invoke("--root", root, "duplicates", "train", "--bits", 0, "--distance", 0, "--strict").code == 0
