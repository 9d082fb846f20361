"""Damaged images are decoded or refused; nothing else comes of them."""

import random

import numpy as np
import pytest

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode
from dna_pipelines_tests.imaging.hostile import REASONS, bombs, mutated, no_images, originals


def outcome(data):
    try:
        pixels = decode(data)
    except Unreadable as error:
        return error.reason
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.size
    return "decoded"


@pytest.mark.parametrize(("n_images", "seed"), [(300, 1), pytest.param(5000, 2, marks=pytest.mark.campaign)])
def test_a_mutated_image_is_decoded_or_refused(n_images, seed):
    chance = random.Random(seed)
    outcomes = {outcome(mutated(chance.choice(originals())[1], chance)) for _ in range(n_images)}
    assert outcomes <= {"decoded", *REASONS}
    # The campaign is worth something only where it comes to all of these.
    assert outcomes >= {"decoded", "not an image", "truncated", "corrupt"}


def test_the_originals_are_sound():
    assert {outcome(data) for _, data in originals()} == {"decoded"}


def test_bombs_are_refused():
    assert {outcome(data) for _, data in bombs()} <= {"too large", "corrupt", "truncated"}


@pytest.mark.parametrize(("data", "reason"), no_images())
def test_what_is_no_image_gets_its_reason(data, reason):
    assert outcome(data) == reason
