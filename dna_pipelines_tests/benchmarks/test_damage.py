"""Every step of a ladder of damage changes an image more than the step before."""

import numpy as np
import pytest

from benchmarks.protocols.damage import GREY, LADDERS, damaged, occlude


@pytest.fixture(scope="module")
def images():
    """Smooth shapes with some grain, nowhere near black or white."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:96, :96] / 96
    shapes = [np.stack([np.sin(9 * x * k + c) * np.cos(7 * y + k) for c in range(3)], axis=2) for k in range(1, 5)]
    return np.rint(128 + 60 * np.stack(shapes) + rng.normal(0, 4, (4, 96, 96, 3))).astype(np.uint8)


@pytest.mark.parametrize("kind", LADDERS)
def test_every_step_does_more(images, kind):
    off = [((damaged(images, kind, strength) - images.astype(float)) ** 2).mean() for strength in LADDERS[kind]]
    assert off[0] > 0
    assert (np.diff(off) > 0).all()


def test_chance_is_the_same_again_and_differs_from_image_to_image(images):
    first, again, other = (damaged(images, "noise", 4, seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    noise = first - images.astype(float)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05


def test_an_occlusion_is_a_grey_square_inside_the_image(images):
    changed = occlude(images[0], 10, np.random.default_rng(0))
    rows, columns = np.nonzero((changed == GREY).all(axis=2) & (images[0] != GREY).any(axis=2))
    assert np.ptp(rows) <= 9
    assert np.ptp(columns) <= 9
    assert ((changed != images[0]).any(axis=2)).sum() <= 100
    assert (changed == GREY).all(axis=2).sum() >= 100
