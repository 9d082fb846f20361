"""Duplicates: planted ones are among the results, and are counted as images."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from dna_pipelines.analysis.images.aliases import ALIASES
from dna_pipelines.analysis.images.duplicates import find_duplicates, leakage
from dna_pipelines.errors import Incomparable, UserError
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.cli.conftest import invoke
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import bring_up_to_date, image_bytes, toy_project


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


# The toy network has five bits, so the distance decides.
STRICT = {"most_bits": 0.3, "most_distance": 0.05}

REASON = "toy-changed"


def pairs_of(duplicates):
    a, b = duplicates.a.rows, duplicates.b.rows
    return [(a[pair.index_a].name, b[pair.index_b].name, pair.exact) for pair in duplicates.pairs]


def test_duplicates_between_two_datasets(made):
    duplicates = find_duplicates(ProjectFolder(made), "test", "train", **STRICT)
    exact, near = pairs_of(duplicates)
    assert exact[0] in ("five.png", "five-again.png")
    assert exact[1:] == ("5.png", True)
    assert near == ("seven.png", "7.png", False)
    assert (duplicates.exact_a, duplicates.near_a, duplicates.exact_b, duplicates.near_b) == (2, 1, 1, 1)


def test_duplicates_within_a_dataset(made):
    duplicates = find_duplicates(ProjectFolder(made), "train", **STRICT)
    assert {*pairs_of(duplicates)[0][:2]} == {"3.png", "again.png"}
    assert (duplicates.exact_a, duplicates.near_a) == (1, 0)


def test_with_a_distance_of_0_only_equal_bytes_and_equal_features_remain(made):
    duplicates = find_duplicates(ProjectFolder(made), "test", "train", most_bits=0, most_distance=0)
    assert [exact for _, _, exact in pairs_of(duplicates)] == [True]


def test_the_table_of_leakage_has_every_pair(made):
    results = leakage(ProjectFolder(made), ["train", "test"], **STRICT)
    by_pair = {(result.a.label, result.b.label): result for result in results}
    assert by_pair["train", "test"].exact_b == 2
    assert by_pair["train", "train"].exact_a == 1
    assert by_pair["test", "test"].exact_a == 1


def test_too_many_pairs_are_refused(made, monkeypatch):
    monkeypatch.setattr("dna_pipelines.comparison.codes.near_pairs.__defaults__", (3,))
    with raises(UserError, "compare.too-many-pairs", most_pairs=3):
        find_duplicates(ProjectFolder(made), "train", most_bits=0.5)


@pytest.fixture
def with_featureless(made, tmp_path):
    """`train` and `test` have a featureless image each, not quite the same, and another one of equal bytes."""
    root = shutil.copytree(made, tmp_path / "project")
    for dataset, level in (("train", 127), ("test", 128)):
        Image.new("RGB", (6, 6), (level, level, level)).save(root / "images" / dataset / "featureless.png")
        Image.new("RGB", (6, 6), (128, 0, 0)).save(root / "images" / dataset / "red.png")
    bring_up_to_date(ProjectFolder(root))
    return root


def test_featureless_images_are_compared_by_their_bytes_only(with_featureless, monkeypatch):
    duplicates = find_duplicates(ProjectFolder(with_featureless), "test", "train", **STRICT)
    assert ("red.png", "red.png", True) in pairs_of(duplicates)
    assert ("seven.png", "7.png", False) in pairs_of(duplicates)
    assert not any("featureless.png" in pair for pair in pairs_of(duplicates))
    # To so small a network, some of the others are featureless too.
    assert 2 <= duplicates.featureless_a < 10
    assert 2 <= duplicates.featureless_b < 10
    assert duplicates.featureless_unknown is None
    # The features of images of a single colour are stored, so nothing is measured again.
    monkeypatch.setattr("dna_pipelines.update.remeasure.partials_of", lambda *_: pytest.fail("measured again"))
    again = find_duplicates(ProjectFolder(with_featureless), "train", "test", **STRICT)
    assert (again.featureless_a, again.near_a) == (duplicates.featureless_b, duplicates.near_b)
    said = invoke("--root", with_featureless, "duplicates", "test", "train", "--bits", 0.3, "--distance", 0.05)
    assert said.names(duplicates.featureless_a + duplicates.featureless_b)


def test_without_the_network_all_images_are_compared_and_the_reason_is_reported(with_featureless, monkeypatch):
    def changed(*_):
        raise Incomparable(REASON)

    monkeypatch.setattr("dna_pipelines.analysis.images.duplicates.single_colour_features", changed)
    duplicates = find_duplicates(ProjectFolder(with_featureless), "test", "train", **STRICT)
    assert ("featureless.png", "featureless.png", False) in pairs_of(duplicates)
    assert (duplicates.featureless_a, duplicates.featureless_b) == (0, 0)
    said = invoke("--root", with_featureless, "duplicates", "test", "train", "--bits", 0.3, "--distance", 0.05)
    assert duplicates.featureless_unknown == REASON
    assert said.names(REASON)


def test_the_command(made, tmp_path):
    limits = ("--bits", 0.3, "--distance", 0.05)
    said = invoke("--root", made, "duplicates", "test", "train", *limits, "--picture", tmp_path / "sheet.png")
    assert said.code == 0
    assert "seven.png" in said.out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 200
    assert invoke("--root", made, "duplicates", "test", "train", *limits, "--strict").code == 1
    shown = invoke("--root", made, "duplicates", "train", *limits, "--json").json
    assert (shown["n_exact_a"], shown["b"]) == (1, None)
    assert all(shown[old] == shown[new] for old, new in ALIASES.items() if new in shown)
    assert {"n_plain_a", "n_plain_b", "plain_unknown"} <= set(shown)
    assert "2 + 1" in invoke("--root", made, "duplicates", *limits).out
    assert len(invoke("--root", made, "duplicates", *limits, "--json").json) == 3
    assert invoke("--root", made, "duplicates", "--picture", "x.png").code == 1


def test_a_dataset_without_duplicates_passes(made, tmp_path):
    root = shutil.copytree(made, tmp_path / "project")
    (root / "images" / "train" / "again.png").unlink()
    bring_up_to_date(ProjectFolder(root))
    assert invoke("--root", root, "duplicates", "train", "--bits", 0, "--distance", 0, "--strict").code == 0
