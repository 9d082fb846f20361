"""A shard's partial depends on its images and the extractor alone."""

import threading
import time

import numpy as np
import pytest
import torch

from dna_pipelines.distributions import Binning, Moments
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.errors import ExtractorError, LakeError, NothingToCompare, SourceChanged, UserError
from dna_pipelines.extraction import partials as module
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.devices.device_fold import DeviceFold
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.inputs import network_input
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.networks.seeded import seeded_vit
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.extraction.probing.probe import probe
from dna_pipelines.extraction.stream.stage_times import StageClock
from dna_pipelines.extraction.taps import neurons_second
from dna_pipelines.identity import Item, block_of, digest_of
from dna_pipelines.imaging import Preprocessing
from dna_pipelines.manifests import Shard
from dna_pipelines_tests import toy
from dna_pipelines_tests.laws.merging import counts_equal, moments_equal
from dna_pipelines_tests.raising import raises

IMAGES = {digest_of(data): data for data in map(toy.image_bytes, range(40))}
DIGESTS = sorted(IMAGES)


@pytest.fixture(scope="module", params=["toy", "seeded_vit"])
def extractor(request):
    return load_extractor(request.param, batch_size=8)


@pytest.fixture(scope="module")
def ranges(extractor):
    return calibrate(extractor, DIGESTS[:20], ("x",), IMAGES.__getitem__, workers=1)


def shard(*places):
    return Shard(tuple(Item(DIGESTS[place]) for place in places))


def extract(extractor, ranges, shards, workers=1):
    return {
        cut.id: partial
        for cut, partial in extract_partials(extractor, ranges, shards, IMAGES.__getitem__, workers=workers)
    }


def equal(a, b):
    counts_equal(a.histogram, b.histogram)
    counts_equal(a.blocks, b.blocks)
    moments_equal(a.moments, b.moments, rtol=0)
    assert a.images.digests == b.images.digests
    np.testing.assert_array_equal(a.images.signs, b.images.signs)


def test_company_does_not_matter(extractor, ranges):
    """Alone, or packed into batches with other shards, in any order: the same bits."""
    first, second, third = shard(*range(3)), shard(*range(3, 20)), shard(*range(20, 40))
    alone = extract(extractor, ranges, [second])[second.id]
    for company in ([first, second, third], [third, second], [second, first]):
        equal(extract(extractor, ranges, company)[second.id], alone)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_do_not_matter(extractor, ranges, workers):
    cut = [shard(*range(start, start + 10)) for start in range(0, 40, 10)]
    one, several = extract(extractor, ranges, cut), extract(extractor, ranges, cut, workers)
    assert one.keys() == several.keys()
    for identity, partial in one.items():
        equal(several[identity], partial)


@pytest.mark.parametrize("n_readers", [1, 30])
def test_reading_threads_do_not_matter(extractor, ranges, n_readers, monkeypatch):
    cut = [shard(*range(17)), shard(*range(17, 40))]
    expected = extract(extractor, ranges, cut)
    monkeypatch.setattr("dna_pipelines.extraction.stream.activation_stream._MIN_READERS", n_readers)
    for identity, partial in extract(extractor, ranges, cut).items():
        equal(partial, expected[identity])


@pytest.mark.parametrize("fold_type", [Fold, DeviceFold])
def test_devices_do_not_matter(extractor, ranges, fold_type, monkeypatch):
    """Devices are simulated by copies of the network, each with lanes and folds of its own."""
    networks = {"toy": toy.toy_network, "seeded_vit": seeded_vit}
    others = [probe(networks[extractor.network.name](), batch_size=8) for _ in range(2)]
    used = set()

    def note(network, *_):
        used.add(id(network))
        # Long enough for another to take the next batch.
        time.sleep(0.005)

    hooks = [each.network.module.register_forward_hook(note) for each in (extractor, *others)]
    folding = {"device": "cpu"} if fold_type is DeviceFold else {}
    monkeypatch.setattr(module, "_new_fold", lambda binning, blocks, _device: fold_type(binning, blocks, **folding))
    cut = [shard(*range(start, start + 20)) for start in (0, 20)] * 3
    expected = extract(extractor, ranges, cut)
    used.clear()
    found = extract_partials(extractor, ranges, cut, IMAGES.__getitem__, workers=1, others=others)
    for done, partial in found:
        equal(partial, expected[done.id])
    for hook in hooks:
        hook.remove()
    assert len(used) > 1


def test_the_order_of_a_shards_images_does_not_matter(extractor, ranges):
    there, back = (
        extract(extractor, ranges, [shard(*range(9))]),
        extract(extractor, ranges, [shard(*reversed(range(9)))]),
    )
    assert there.keys() == back.keys()
    equal(*there.values(), *back.values())


def test_a_partial_is_what_a_plain_forward_pass_gives(extractor, ranges):
    places = range(5)
    [partial] = extract(extractor, ranges, [shard(*places)]).values()
    inputs = np.zeros((8, 3, *[extractor.network.preprocessing.size_px] * 2), np.float32)
    for row, place in enumerate(places):
        inputs[row] = network_input(IMAGES[DIGESTS[place]], extractor.network.preprocessing)
    outputs = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    extractor.taps.run(
        torch.from_numpy(inputs), lambda i, out: outputs.update({i: neurons_second(out[:5], extractor.axes[i]).clone()})
    )
    torch.set_num_threads(threads)
    pooled = np.concatenate([outputs[i].double().mean(2).numpy() for i in range(len(extractor.layers))], axis=1)
    np.testing.assert_array_equal(
        partial.histogram.n_values, np.concatenate([[5 * outputs[i].shape[2]] * outputs[i].shape[1] for i in outputs])
    )
    for index, part in enumerate(extractor.layers.slices.values()):
        expected = [
            [np.float32(outputs[index][:, d].min()), np.float32(outputs[index][:, d].max())]
            for d in range(part.stop - part.start)
        ]
        np.testing.assert_array_equal(
            np.stack([partial.histogram.minimum[part], partial.histogram.maximum[part]], axis=1), expected
        )
    moments_equal(partial.moments, Moments.of(pooled, extractor.layers, extractor.covariance_layers))
    assert partial.images.digests == tuple(DIGESTS[:5])
    assert partial.blocks.n_images.sum() == 5
    assert all(partial.blocks.n_images[block_of(Item(digest))] > 0 for digest in DIGESTS[:5])


def test_folding_on_the_device_gives_the_same_partials(extractor, ranges, monkeypatch):
    cut = [shard(*range(13)), shard(*range(13, 40))]
    expected = extract(extractor, ranges, cut)
    monkeypatch.setattr(module, "_new_fold", lambda binning, blocks, device: DeviceFold(binning, blocks, device))
    for identity, partial in extract(extractor, ranges, cut, workers=2).items():
        counts_equal(partial.histogram, expected[identity].histogram)
        counts_equal(partial.blocks, expected[identity].blocks)
        moments_equal(partial.moments, expected[identity].moments)


@pytest.mark.parametrize("n_writers", [1, 3])
def test_partials_are_kept_by_several_threads_beside_the_extraction(extractor, ranges, monkeypatch, n_writers):
    monkeypatch.setattr(module, "_MAX_WRITERS", n_writers)
    cut = [shard(*range(start, start + 4)) for start in range(0, 40, 4)]
    expected = extract(extractor, ranges, cut)
    together, kept, clock = threading.Barrier(n_writers, timeout=20), {}, StageClock()

    def keep(done, partial):
        kept[done.id] = partial
        # So many wait here at the same time, or none gets through; the last may be fewer.
        if len(kept) <= len(cut) - len(cut) % n_writers:
            together.wait()

    found = extract_partials(extractor, ranges, cut, IMAGES.__getitem__, workers=12, clock=clock, keep=keep)
    for done, partial in found:
        assert kept[done.id] is partial
        equal(partial, expected[done.id])
    assert kept.keys() == expected.keys()
    assert clock.times().n_writers == n_writers


def test_what_is_complete_is_kept_when_an_image_fails(extractor, ranges):
    images, begun, kept = dict(IMAGES) | {DIGESTS[39]: b"no image"}, [], []
    cut = [shard(*range(start, start + 8)) for start in range(0, 40, 8)]

    def keep(done, _partial):
        begun.append(done.id)
        time.sleep(0.05)
        kept.append(done.id)

    with raises(SourceChanged, "source.undecodable", digest=DIGESTS[39]):
        list(extract_partials(extractor, ranges, cut, images.__getitem__, workers=1, keep=keep))
    assert begun
    assert kept == begun
    assert cut[-1].id not in kept


@pytest.mark.parametrize("n_through", [1, 2, 4])
def test_a_shard_is_kept_that_was_complete_when_the_run_was_stopped(extractor, ranges, n_through):
    cut, kept, n_batches = [shard(*range(start, start + 8)) for start in range(0, 40, 8)], [], 0

    def stop(_n_images):
        nonlocal n_batches
        n_batches += 1
        if n_batches == n_through:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        for _ in extract_partials(
            extractor,
            ranges,
            cut,
            IMAGES.__getitem__,
            workers=1,
            on_images=stop,
            keep=lambda done, _: kept.append(done),
        ):
            pass
    assert len(kept) == n_through


def test_a_partial_that_cannot_be_kept_is_an_error(extractor, ranges):
    def keep(_done, _partial):
        raise LakeError("the disk is full", code="lake.test")

    with raises(LakeError, "lake.test"):
        list(extract_partials(extractor, ranges, [shard(0, 1)], IMAGES.__getitem__, workers=1, keep=keep))


def test_copies_of_an_image_count_as_often_as_they_occur(extractor, ranges):
    once, thrice = Shard((Item(DIGESTS[0]),)), Shard((Item(DIGESTS[0]),) * 3)
    one, three = (extract(extractor, ranges, [cut])[cut.id] for cut in (once, thrice))
    np.testing.assert_array_equal(three.histogram.counts, one.histogram.counts * np.uint64(3))
    assert three.blocks.n_images.sum() == 3


def test_an_image_that_decodes_no_more_stops_the_shard(extractor, ranges):
    images = dict(IMAGES) | {DIGESTS[1]: b"no image"}
    with raises(SourceChanged, "source.undecodable", digest=DIGESTS[1], reason="not an image"):
        list(extract_partials(extractor, ranges, [shard(0, 1, 2)], images.__getitem__, workers=2))


def test_calibration_covers_what_it_saw_with_a_margin(extractor, ranges):
    whole = extract(extractor, ranges, [Shard(tuple(Item(digest) for digest in DIGESTS[:20]))])
    [partial] = whole.values()
    np.testing.assert_array_equal(partial.histogram.minimum, ranges.minimum)
    np.testing.assert_array_equal(partial.histogram.maximum, ranges.maximum)
    assert partial.histogram.clipped_share == 0.0
    alive = ranges.maximum > ranges.minimum
    margin = (ranges.binning.hi - ranges.maximum)[alive] / (ranges.maximum - ranges.minimum)[alive].astype(float)
    np.testing.assert_allclose(margin, 0.1, rtol=1e-4)


def test_calibration_needs_images(extractor):
    with raises(NothingToCompare, "compare.no-images", network=extractor.network.label):
        calibrate(extractor, [], (), IMAGES.__getitem__)


class Roots(torch.nn.Module):
    """NaN in its second neuron where the input is below 0, which the noise of probing is not."""

    def __init__(self):
        super().__init__()
        self.out = torch.nn.Identity()

    def forward(self, x):
        return self.out(torch.stack([x[:, 0], x[:, 1].sqrt()], dim=1))


def roots(mean):
    preprocessing = Preprocessing(8, mean=(mean,) * 3, std=(1.0,) * 3)
    return probe(Network("roots", Roots(), preprocessing, ("out",), "d", "c", "none", ""), batch_size=4)


def test_a_neuron_that_is_finite_on_no_calibration_image_is_an_error_with_its_layer():
    facts = {"network": "roots", "layers": ["out"], "n_neurons": {"out": 1}, "n_images": 20}
    with raises(ExtractorError, "network.not-finite", **facts):
        calibrate(roots(2.0), DIGESTS[:20], ("x",), IMAGES.__getitem__)
    darker = calibrate(roots(0.9), DIGESTS[:20], ("x",), IMAGES.__getitem__)
    assert 0 <= darker.minimum[1] < darker.maximum[1] <= 0.1**0.5 + 1e-6


def test_a_fold_that_would_overflow_is_an_error():
    fold = Fold(Binning(np.zeros(1), np.ones(1)), np.zeros(1, int))
    fold._n_values[0] = 2**32 - 2
    with raises(UserError, "network.too-many-values", limit=2**32):
        fold.add(slice(0, 1), np.zeros((1, 1, 4), np.float32), slice(0, 1), np.empty((1, 1)))
