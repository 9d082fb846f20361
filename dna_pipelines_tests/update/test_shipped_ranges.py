"""Ranges that come with a network are used as they are, unless the settings ask for others."""

import shutil

import numpy as np
import pytest

from dna_pipelines.errors import LakeError, NothingToCompare
from dna_pipelines.extraction.loading import registry
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.calibration import ensure_ranges, known_keys
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests import toy
from dna_pipelines_tests.raising import raises


@pytest.fixture
def project(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(3):
        (images / f"{number}.png").write_bytes(toy.image_bytes(number))
    project = ProjectFolder(tmp_path)
    project.file.create()
    project.file.add({"name": "few", "uri": str(images)})
    return project


def entry(project, more=""):
    text = project.file.path.read_text().partition("\nextractors:")[0]
    project.file.path.write_text(f"{text}\nextractors:\n  - {{name: builtin{more}}}\n")
    return project.config().extractors[0]


def test_no_image_is_looked_at(project):
    ranges, made = ensure_ranges(project, entry(project))
    shipped = load_extractor("builtin").own_ranges
    assert made
    assert (ranges.id, ranges.datasets, ranges.n_images) == (shipped.id, (), shipped.n_images)
    again, made = ensure_ranges(project, entry(project))
    assert not made
    assert (again.id, again.origin) == (shipped.id, shipped.origin)
    assert known_keys(project, entry(project))


def test_datasets_to_calibrate_on_come_before(project):
    refresh(project, project.file.dataset("few"))
    ranges, _ = ensure_ranges(project, entry(project, ", calibrate_on: [few]"))
    assert (ranges.datasets, ranges.n_images, ranges.origin) == (("few",), 3, "")


def test_ranges_that_are_replaced_are_measured_and_stay(project):
    config = entry(project)
    shipped, _ = ensure_ranges(project, config)
    with raises(NothingToCompare, "compare.no-images", network="builtin"):
        ensure_ranges(project, config, replace=True)
    refresh(project, project.file.dataset("few"))
    measured, _ = ensure_ranges(project, config, replace=True)
    assert measured.datasets == ("few",)
    assert measured.id != shipped.id
    assert ensure_ranges(project, config)[0].id == measured.id


def test_layers_without_ranges_are_calibrated(project):
    refresh(project, project.file.dataset("few"))
    ranges, _ = ensure_ranges(project, entry(project, ", layers: [stage3, stage3.first]"))
    assert ranges.datasets == ("few",)
    assert np.isfinite(ranges.minimum).all()


OWN = """
import os, torch
from torch import nn
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.imaging import Preprocessing

def build():
    torch.manual_seed(int(os.environ["SEED_OF_OWN"]))
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    return Network("mine", module, Preprocessing(8), ("0", "1"), "the same", "mine/1", "none", "")
"""


def test_a_network_that_became_another_unnoticed_gets_its_ranges_where_they_are_missed(project, monkeypatch):
    (project.root / "own_unnoticed.py").write_text(OWN)
    text = project.file.path.read_text().partition("\nextractors:")[0]
    project.file.path.write_text(f"{text}\nextractors:\n  - {{name: mine, network: 'own_unnoticed:build'}}\n")
    config, dataset = project.config().extractors[0], project.file.dataset("few")
    refresh(project, dataset)
    keys = []
    for seed in ("1", "2"):
        monkeypatch.setenv("SEED_OF_OWN", seed)
        registry._loaded.cache_clear()
        fitted = fit(project, dataset, config)
        keys.append(fitted.comparability_key)
        assert project.lake.fingerprints.extractor("mine").comparability_key == fitted.comparability_key
        assert fitted.record
    assert keys[0] != keys[1]


def test_measured_ranges_that_are_lost_are_not_measured_again(project):
    refresh(project, project.file.dataset("few"))
    config = entry(project, ", calibrate_on: [few]")
    ranges, _ = ensure_ranges(project, config)
    folder = project.lake.layout.ranges("builtin")
    (file,) = folder.iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:100])
    with raises(LakeError, "lake.damaged-ranges", path=str(file), extractor="builtin"):
        ensure_ranges(project, config)
    shutil.rmtree(folder)
    with raises(LakeError, "ranges.lost", path=str(folder), extractor="builtin"):
        ensure_ranges(project, config)
    folder.mkdir()
    file.write_bytes(content)
    assert ensure_ranges(project, config)[0].id == ranges.id
    file.write_bytes(content[:100])
    assert ensure_ranges(project, config, replace=True)[1]
    assert ensure_ranges(project, config)[0].id == ranges.id


def test_lost_ranges_are_noticed_although_the_record_of_their_use_is_lost_too(project):
    dataset = project.file.dataset("few")
    refresh(project, dataset)
    config = entry(project, ", calibrate_on: [few]")
    ensure_ranges(project, config)
    fit(project, dataset, config)
    folder = project.lake.layout.ranges("builtin")
    shutil.rmtree(folder)
    project.lake.layout.extractor("builtin").unlink()
    with raises(LakeError, "ranges.lost", path=str(folder), extractor="builtin"):
        ensure_ranges(project, config)
    # Another calibration of the same network is another extractor.
    assert ensure_ranges(project, entry(project))[1]


def test_ranges_that_come_with_the_network_are_written_again(project):
    ranges, _ = ensure_ranges(project, entry(project))
    shutil.rmtree(project.lake.layout.ranges("builtin"))
    again, made = ensure_ranges(project, entry(project))
    assert (again.id, made) == (ranges.id, True)
