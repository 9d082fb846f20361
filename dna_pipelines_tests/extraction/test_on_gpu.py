"""The GPU path, tested where there is a GPU."""

import warnings

import numpy as np
import pytest
import torch

from dna_pipelines.distributions.fold import Fold
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.devices import device_fold
from dna_pipelines.extraction.devices.device_fold import fold_layer_for
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.inputs import network_input
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.extraction.stream.lanes import Batch, Job, run_network
from dna_pipelines.identity import Item, block_of, digest_of
from dna_pipelines.manifests import Shard
from dna_pipelines_tests import toy
from dna_pipelines_tests.laws.merging import counts_equal, moments_equal

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

DEVICE = "cuda:0"
IMAGES = {digest_of(data): data for data in map(toy.image_bytes, range(40))}
DIGESTS = sorted(IMAGES)


def shards(size):
    return [Shard(tuple(map(Item, DIGESTS[start : start + size]))) for start in range(0, len(DIGESTS), size)]


@pytest.fixture(params=["float32", "fast"])
def extractor(request):
    return load_extractor("seeded_vit", batch_size=8, device=DEVICE, precision=request.param)


@pytest.fixture
def ranges(extractor):
    return calibrate(extractor, DIGESTS, ("x",), IMAGES.__getitem__)


def extracted(extractor, ranges, size):
    found = extract_partials(extractor, ranges, shards(size), IMAGES.__getitem__)
    return {shard.id: partial for shard, partial in found}


def test_a_kernel_is_used_there():
    pytest.importorskip("triton")
    fold_layer_for.cache_clear()
    with warnings.catch_warnings(action="error"):
        assert fold_layer_for(DEVICE) is not device_fold.fold_with_torch


def test_counts_are_those_of_the_same_activations_on_the_cpu(extractor, ranges):
    partials = extracted(extractor, ranges, 8)
    for shard in shards(8):
        blocks = np.array([block_of(item) for item in shard.items])
        fold, pooled = Fold(ranges.binning, blocks), np.empty((8, extractor.layers.n_neurons))

        def consume(part, values, fold=fold, pooled=pooled):
            fold.add(part, values.cpu().numpy(), slice(0, 8), pooled[:, part])

        preprocessing = extractor.network.preprocessing
        inputs = np.stack([network_input(IMAGES[item.digest], preprocessing) for item in shard.items])
        with reproducible():
            job = Job(Batch([item.digest for item in shard.items], consume, None), torch.empty(0), 0)
            run_network(extractor, job, torch.from_numpy(inputs).to(DEVICE), consume)
        counts_equal(partials[shard.id].histogram, fold.histogram())
        counts_equal(partials[shard.id].blocks, fold.block_counts())
        np.testing.assert_allclose(partials[shard.id].moments.mean, pooled.mean(axis=0), rtol=1e-9, atol=1e-12)


def test_twice_is_the_same_however_shards_lie_in_batches(extractor, ranges):
    first = extracted(extractor, ranges, 5)
    for identity, partial in extracted(extractor, ranges, 5).items():
        counts_equal(partial.histogram, first[identity].histogram)
        counts_equal(partial.blocks, first[identity].blocks)
        moments_equal(partial.moments, first[identity].moments, rtol=0)
    whole = extracted(extractor, ranges, 40)
    [one] = whole.values()
    parts = list(first.values())
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    counts_equal(total.histogram, one.histogram)
