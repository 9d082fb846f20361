"""A training of a few steps: it can be interrupted at any step, and its export is the trained network."""

import dataclasses
import itertools
import json

import pytest
import torch

from dna_pipelines.extraction.files.weight_files import digest_of_files
from dna_pipelines.extraction.networks.builtin import network_from
from training import checkpoint
from training.checkpoint import OtherPlan
from training.export import NotFinished, export
from training.network import folded
from training.plan import Plan
from training.train import CHECKPOINT, train

PLAN = Plan(n_steps=6, batch=6, n_classes=5, n_fields=2, n_warm=2, n_fall=3, n_large=2, size=32, large=40)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(PLAN, folder, threads=1)


def equal(a, b):
    return all(torch.equal(one, b.state_dict()[key]) for key, one in a.state_dict().items())


@pytest.mark.parametrize("stop", [1, 5])
def test_interrupted_and_resumed_is_as_if_nothing_had_happened(whole, tmp_path, stop):
    began = train(PLAN, tmp_path, threads=1, stop_after=stop)
    assert not equal(began, whole[1])
    assert checkpoint.read_facts(tmp_path / CHECKPOINT)[:2] == (PLAN, stop)
    assert equal(train(PLAN, tmp_path, threads=1), whole[1])


def test_a_finished_training_does_nothing_more(whole):
    assert equal(train(PLAN, whole[0], threads=1), whole[1])


def test_a_checkpoint_of_another_plan_is_refused_with_the_difference(whole, tmp_path):
    with pytest.raises(OtherPlan) as caught:
        train(dataclasses.replace(PLAN, seed=2, n_classes=5), whole[0], threads=1)
    assert caught.value.differences == {"seed": (1, 2)}


def test_a_longer_plan_resumes_after_steps_that_are_also_its_own():
    longer = dataclasses.replace(PLAN, n_steps=9)
    assert longer.may_resume(PLAN, PLAN.n_steady)
    # The shorter one has begun to end by then.
    assert not longer.may_resume(PLAN, PLAN.n_steady + 1)
    assert not dataclasses.replace(longer, peak=0.1).may_resume(PLAN, 1)


def test_the_rate_rises_stays_and_falls_to_nothing():
    plan = Plan(n_steps=100, n_warm=10, n_fall=40, peak=0.5)
    rates = [plan.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[10:60] == [0.5] * 50
    assert all(a > b for a, b in itertools.pairwise(rates[61:]))
    assert rates[-1] < 0.005


def test_folding_the_normalisations_changes_no_output(whole):
    body = whole[1].body.eval()
    images = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = body(images), folded(body)(images)
    assert expected.abs().max() > 0.1
    assert torch.allclose(found, expected, atol=1e-4)


def test_an_export_is_a_network_with_its_ranges_and_a_card_that_names_its_digests(whole, tmp_path):
    card = json.loads(export(whole[0], tmp_path, n_images=12).read_text())
    assert card["weights"]["sha256"] == digest_of_files([tmp_path / card["weights"]["name"]])
    assert card["ranges"]["sha256"] == digest_of_files([tmp_path / card["ranges"]["name"]])
    assert (card["training"]["samples_seen"], card["training"]["seed"]) == (36, 1)
    network = network_from(tmp_path)
    assert network.weights_digest == card["weights"]["sha256"]
    assert network.ranges.n_images == 12
    assert (network.ranges.binning.lo < network.ranges.minimum).all()


def test_an_unfinished_training_is_exported_only_when_asked_for(tmp_path):
    train(PLAN, tmp_path, threads=1, stop_after=1)
    with pytest.raises(NotFinished) as caught:
        export(tmp_path, tmp_path / "export")
    assert (caught.value.step, caught.value.n_steps) == (1, 6)
