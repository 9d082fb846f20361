"""What must hold of every measure: `merge` is associative and commutative, and `empty` changes nothing."""

import numpy as np


def counts_equal(a, b):
    """Exactly: counts, tallies and extremes."""
    for name in vars(a):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def moments_equal(a, b, rtol=1e-12):
    """To 1e-12 of the scale: the order of float64 summation may differ."""
    np.testing.assert_array_equal(a.n_images, b.n_images)
    # Of the spread too, because means may be next to nothing beside it.
    spread = np.sqrt(a.m2.max(initial=0.0) / max(int(a.n_images.max(initial=0)), 1))
    scale = max(np.abs(a.mean).max(initial=1e-300), spread)
    np.testing.assert_allclose(a.mean, b.mean, rtol=rtol, atol=rtol * scale)
    # Of equal images nothing but the squared error of the mean is left.
    atol = rtol * a.m2.max(initial=0.0) + (rtol * scale) ** 2
    np.testing.assert_allclose(a.m2, b.m2, rtol=rtol, atol=atol)
    assert a.covariances.keys() == b.covariances.keys()
    for name, ours in a.covariances.items():
        theirs = b.covariances[name]
        assert ours.n_images == theirs.n_images
        np.testing.assert_allclose(ours.mean, theirs.mean, rtol=rtol, atol=rtol * scale)
        top = np.abs(ours.comoment).max(initial=1e-300)
        np.testing.assert_allclose(ours.comoment, theirs.comoment, rtol=rtol, atol=rtol * top + (rtol * scale) ** 2)


def merging_is_lawful(parts, empty, equal):
    """Any order and any bracketing of at least three parts agree, with or without the empty one."""
    first, second, third = parts
    left = first.merge(second).merge(third)
    equal(first.merge(second.merge(third)), left)
    equal(third.merge(first).merge(second), left)
    equal(empty.merge(first), first)
    equal(first.merge(empty), first)
