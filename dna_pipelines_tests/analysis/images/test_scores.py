"""Scores of images from anywhere: odd ones fit worse, and nothing is stored."""

import pytest

from dna_pipelines.analysis.images import scores
from dna_pipelines.analysis.images.scores import score_images
from dna_pipelines.errors import UserError
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.analysis.images.conftest import N_IMAGES, odd_image
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import write_image


def test_images_from_anywhere_are_scored_against_datasets(made, tmp_path):
    project = ProjectFolder(made)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "odd.png").write_bytes(odd_image(77))
    write_image(tmp_path / "x", "usual.png", 3000)
    (tmp_path / "x" / "broken.png").write_bytes(b"\x89PNG")
    before = sorted(made.rglob("*"))
    fits, problems = score_images(project, [str(tmp_path / "x")], ["b", "a"])
    assert [path.rpartition("/")[2] for path in problems] == ["broken.png"]
    keys = [(fit.path.rpartition("/")[2], fit.dataset) for fit in fits]
    assert keys == [("odd.png", "b"), ("odd.png", "a"), ("usual.png", "b"), ("usual.png", "a")]
    by_key = dict(zip(keys, fits, strict=True))
    odd, usual = by_key["odd.png", "b"], by_key["usual.png", "b"]
    assert odd.conformal_p == pytest.approx(1 / (N_IMAGES + 1))
    assert odd.conformal_p < usual.conformal_p
    for score in ("nearest", "rarity", "mahalanobis", "emd_bins"):
        assert getattr(odd, score) > getattr(usual, score)
    # `a` has four such images, so it is the likelier dataset.
    assert by_key["odd.png", "a"].log_ratio > 0 > odd.log_ratio
    assert sorted(made.rglob("*")) == before


def test_former_keys_are_aliases(made):
    (fit,), _ = score_images(ProjectFolder(made), [str(made / "images" / "b" / "000.png")], ["b"])
    value = fit.to_json()
    assert value["seldom"] == value["conformal_p"] == fit.conformal_p
    assert fit.log_ratio is None


def test_images_that_cannot_be_read_are_refused_with_the_reasons(made, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG")
    with raises(UserError, "images.none-readable", locations=[str(path)]) as caught:
        score_images(ProjectFolder(made), [str(path)], ["b"])
    assert set(caught.value.facts["problems"]) == {str(path)}


def test_too_many_images_are_refused(made, monkeypatch):
    monkeypatch.setattr(scores, "MOST_IMAGES", 3)
    with raises(UserError, "images.too-many", most=3):
        score_images(ProjectFolder(made), [str(made / "images" / "b")], ["b"])
