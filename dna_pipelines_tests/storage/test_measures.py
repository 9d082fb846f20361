"""Measures to Parquet and back, and what SQL sees of them."""

import numpy as np
import pytest

from dna_pipelines.distributions import Binning, ImageFeatures, Layer, Layers, Moments
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.dna import ActivationRanges, Partial, dna_id
from dna_pipelines.errors import LakeError
from dna_pipelines.identity import Key
from dna_pipelines.storage import DnaRecord, Lake
from dna_pipelines.storage.measure_tables import DNA_TABLES
from dna_pipelines_tests.laws.merging import counts_equal
from dna_pipelines_tests.raising import raises

LAYERS = Layers((Layer("first", 3), Layer("last", 5)))
DNA = dna_id(Key({"k": 1}).id, "v")
BINNING = Binning(np.full(8, -2.0), np.full(8, 2.0))


def partial_of(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(11, 8, 6)).astype(np.float32)
    fold, pooled = Fold(BINNING, rng.integers(0, 64, 11)), np.empty((11, 8))
    fold.add(slice(0, 8), values, slice(0, 11), pooled)
    digests = [f"{n:064x}" for n in range(11)]
    images = ImageFeatures.of(digests, pooled, LAYERS, ["last"], BINNING, np.zeros(8))
    return Partial(fold.histogram(), Moments.of(pooled, LAYERS, ("last",)), fold.block_counts(), images)


@pytest.fixture
def lake(tmp_path):
    lake = Lake(tmp_path)
    key = Key({"comparability": "c"})
    lake.fingerprints.put_key(key)
    lake.fingerprints.put_partial(key.id, "shard", partial_of(0), LAYERS)
    return lake, key


def test_a_partial_comes_back_as_it_was(lake):
    store, key = lake[0].fingerprints, lake[1]
    written, read = partial_of(0), store.partial(key.id, "shard")
    counts_equal(read.histogram, written.histogram)
    counts_equal(read.blocks, written.blocks)
    for name in ("n_images", "mean", "m2"):
        np.testing.assert_array_equal(getattr(read.moments, name), getattr(written.moments, name))
    for ours, theirs in zip(read.moments.covariances.values(), written.moments.covariances.values(), strict=True):
        np.testing.assert_array_equal(ours.comoment, theirs.comoment)
        np.testing.assert_array_equal(ours.mean, theirs.mean)
    assert read.images.digests == written.images.digests
    np.testing.assert_array_equal(read.images.signs, written.images.signs)
    np.testing.assert_array_equal(read.images.pooled["last"], written.images.pooled["last"])


def test_a_partial_is_there_only_when_all_its_tables_are(lake):
    store, key = lake[0].fingerprints, lake[1]
    assert store.find_partial("c", key.id, "shard") == key.id
    next(lake[0].layout.root.glob("partials/*/images/shard.parquet")).unlink()
    assert store.find_partial("c", key.id, "shard") is None


def test_partials_of_another_comparability_key_are_never_found(lake):
    store, key = lake[0].fingerprints, lake[1]
    assert store.find_partial("another", "unknown", "shard") is None
    assert store.find_partial("c", "unknown", "shard") == key.id


def record():
    return DnaRecord(
        dna_id=DNA, extractor="toy", comparability_key=Key({"k": 1}).id, version_id="v", n_images=11, n_neurons=8,
        shards=("shard",), compute_keys=("c",), layers=LAYERS.key(), n_dead=0, clipped_share=0.0,
        n_images_extracted=11, extraction_s=1.0, created_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def test_a_dna_is_there_when_its_record_is(lake):
    store, measured = lake[0].fingerprints, partial_of(0)
    store.put_key(Key({"k": 1}))
    assert store.dna_record(DNA) is None
    store.put_dna(record(), measured.histogram, measured.moments, measured.blocks)
    assert store.dna_record(DNA) == record()
    dna = store.dna(DNA, "label")
    counts_equal(dna.histogram, measured.histogram)
    assert (dna.label, dna.layers) == ("label", LAYERS)
    histogram, moments = store.dna_layer(DNA, 1)
    np.testing.assert_array_equal(histogram.counts, measured.histogram.counts[3:])
    np.testing.assert_array_equal(moments.mean, measured.moments.mean[3:])
    with raises(LakeError, "lake.no-dna"):
        store.dna("missing")


def test_of_two_that_measured_ranges_the_first_wins_and_both_go_on_with_its(lake):
    store = lake[0].fingerprints
    mine, theirs, replacing = (
        ActivationRanges(
            LAYERS, Binning(np.full(8, -edge), np.full(8, edge)), *np.zeros((3, 8)), n_images=7, datasets=()
        )
        for edge in (1.0, 2.0, 3.0)
    )
    assert store.put_ranges("toy", "f", mine, replace=False).id == mine.id
    assert store.put_ranges("toy", "f", theirs, replace=False).id == mine.id
    assert store.ranges("toy", "f").id == mine.id
    # Another network has other ranges, and the user can replace them.
    assert store.put_ranges("toy", "another", theirs, replace=False).id == theirs.id
    assert store.put_ranges("toy", "f", replacing, replace=True).id == replacing.id
    assert store.ranges("toy", "f").id == replacing.id


@pytest.mark.parametrize("missing", DNA_TABLES)
def test_a_dna_is_never_of_two_writers(lake, missing):
    """One was killed before its record, or a table is missing; another machine, whose last bits differ, goes on."""
    root, store, (one, other) = lake[0].layout, lake[0].fingerprints, (partial_of(0), partial_of(1))
    store.put_key(Key({"k": 1}))
    store.put_dna(record(), one.histogram, one.moments, one.blocks)
    root.dna(missing, DNA).unlink()
    elsewhere = record().model_copy(update={"compute_keys": ("elsewhere",)})
    store.put_dna(elsewhere, other.histogram, other.moments, other.blocks)
    assert store.dna_record(DNA) == elsewhere
    histogram, moments, blocks = store.dna_sums(DNA)
    counts_equal(histogram, other.histogram)
    np.testing.assert_array_equal(moments.mean, other.moments.mean)
    np.testing.assert_array_equal(blocks.counts, other.blocks.counts)
    # Once it is there, it is never changed.
    store.put_dna(record(), one.histogram, one.moments, one.blocks)
    assert store.dna_record(DNA) == elsewhere
    counts_equal(store.dna_histogram(DNA), other.histogram)


def test_sql_sees_one_row_per_neuron_with_the_counts(lake):
    from dna_pipelines.storage import Catalog

    store, measured = lake[0].fingerprints, partial_of(0)
    store.put_key(Key({"k": 1}))
    store.put_dna(record(), measured.histogram, measured.moments, measured.blocks)
    rows = Catalog(lake[0].layout).rows("SELECT layer, neuron, counts, mean, n_values FROM dna ORDER BY layer, neuron")
    assert [(row["layer"], row["neuron"]) for row in rows] == [("first", n) for n in range(3)] + [
        ("last", n) for n in range(5)
    ]
    np.testing.assert_array_equal([row["counts"] for row in rows], measured.histogram.counts)
    np.testing.assert_array_equal([row["mean"] for row in rows], measured.moments.mean)


def test_a_dna_without_its_record_is_invisible_to_sql(lake):
    from dna_pipelines.storage import Catalog

    store, measured = lake[0].fingerprints, partial_of(0)
    store.put_dna(record(), measured.histogram, measured.moments, measured.blocks)
    lake[0].layout.dna_record(DNA).unlink()
    assert Catalog(lake[0].layout).rows("SELECT count(*) AS n FROM dna") == [{"n": 0}]


def test_what_a_file_manager_leaves_is_no_partial(lake):
    store, key = lake[0].fingerprints, lake[1]
    folder = lake[0].layout.root / "partials"
    (folder / ".DS_Store").write_bytes(b"")
    (folder / "copy of a key").mkdir()
    assert store.find_partial("c", key.id, "shard") == key.id
    assert store.find_partial("c", "another compute key", "shard") == key.id
