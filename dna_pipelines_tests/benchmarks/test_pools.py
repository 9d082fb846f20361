"""The pools that trials draw from: sums of single images, and images with exchanged neurons."""

import numpy as np

from benchmarks.protocols import attributes, power
from benchmarks.protocols.pools import CHUNK, Looker, Pool, _exchanged
from benchmarks.protocols.seen import Sight
from dna_pipelines.identity import N_BLOCKS


def test_a_sample_has_the_counts_of_its_images_in_their_blocks():
    rng = np.random.default_rng(1)
    counts, blocks = rng.integers(0, 2000, (30, 3, 50)).astype(np.uint16), rng.integers(0, N_BLOCKS, 30)
    pool = Pool({"neurons": counts}, rng.normal(size=(30, 3)), blocks)
    rows = np.array([4, 7, 4, 29, 0])
    found, n_images, means = pool.sample("neurons", rows)
    expected = np.zeros((3, N_BLOCKS, 50), np.uint64)
    for row in rows:
        expected[:, blocks[row]] += counts[row]
    assert found.dtype == np.uint64
    np.testing.assert_array_equal(found, expected)
    assert n_images.sum() == 5
    assert n_images[blocks[4]] >= 2
    np.testing.assert_array_equal(means, pool.pooled[rows])


def test_a_pool_is_what_is_seen_of_every_image_and_is_found_again(tmp_path):
    images = np.random.default_rng(8).integers(0, 256, (CHUNK + 3, 16, 16, 3), np.uint8)
    looker = Looker("seeded_cnn", images[:20], ("projected",), tmp_path)
    seen = Sight("seeded_cnn", images[:20], ("projected",)).see(images)
    for _ in range(2):
        pool = looker.look(images)
        assert list(pool.counts) == list(seen.counts) == ["neurons", "projected"]
        for view, counts in seen.counts.items():
            np.testing.assert_array_equal(pool.counts[view], counts)
        np.testing.assert_array_equal(pool.pooled, seen.pooled)
    assert len(list(tmp_path.iterdir())) == 1
    whole, n_images = seen.in_blocks(pool.blocks, view="projected")
    np.testing.assert_array_equal(whole.sum(axis=1), seen.whole("projected"))
    np.testing.assert_array_equal(n_images, np.bincount(pool.blocks, minlength=N_BLOCKS))


def test_exchanging_leaves_every_neuron_as_it_is_and_nothing_of_how_they_go_together():
    rng = np.random.default_rng(2)
    of_images = rng.normal(size=(200, 1, 1))
    values = of_images + 0.1 * rng.normal(size=(200, 4, 5))
    found = _exchanged(values, rng)
    for d in range(4):
        # Whole maps, each of them once.
        np.testing.assert_array_equal(found[np.lexsort(found[:, d].T), d], values[np.lexsort(values[:, d].T), d])
    assert np.corrcoef(values.mean(axis=2).T)[0, 1] > 0.9
    assert abs(np.corrcoef(found.mean(axis=2).T)[0, 1]) < 0.3


def test_both_sides_come_from_different_chunks():
    n_images, rng = 7 * CHUNK, np.random.default_rng(3)
    for _ in range(20):
        a, b = power.drawn(n_images, 40, 400, rng)
        assert (len(set(a)), len(set(b))) == (40, 400)
        assert not set(a // CHUNK) & set(b // CHUNK)


def test_pictures_are_counted_as_numpy_counts_them():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(3, 2, 40)).astype(np.float32)
    low, scale = np.array([-1, -2], np.float32), np.array([90, 50], np.float32)
    found = np.zeros((3, 2, attributes.N_BINS), np.uint16)
    attributes._count(values, low, scale, found)
    for d in range(2):
        edges = low[d] + np.arange(1, attributes.N_BINS) / scale[d]
        expected = [
            np.bincount(np.searchsorted(edges, one, side="right"), minlength=attributes.N_BINS) for one in values[:, d]
        ]
        np.testing.assert_array_equal(found[:, d], expected)
