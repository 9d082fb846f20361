"""The activation stream is bounded, can be stopped, and measures its stages."""

import threading
import time
from queue import SimpleQueue

import numpy as np
import pytest
import torch

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.extraction.stream.activation_stream import ActivationStream
from dna_pipelines.extraction.stream.lanes import Batch, Job, serve
from dna_pipelines.extraction.stream.stage_times import StageClock
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.manifests import Shard
from dna_pipelines_tests import toy
from dna_pipelines_tests.raising import raises

IMAGES = {digest_of(data): data for data in map(toy.image_bytes, range(400))}
DIGESTS = sorted(IMAGES)
SIZE = 4


@pytest.fixture(scope="module")
def extractor():
    return load_extractor("toy", batch_size=SIZE)


def batches(digests=DIGESTS, consume=lambda _part, _values: None):
    for start in range(0, len(digests), SIZE):
        yield Batch(digests[start : start + SIZE], consume, start)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("extract-")]


def until_still(count):
    """Wait until a number has not changed for a while."""
    last, since = count(), time.monotonic()
    while time.monotonic() - since < 0.2:
        time.sleep(0.02)
        if count() != last:
            last, since = count(), time.monotonic()
    return last


class DiskGone(OSError):
    """What a reader raises that is broken."""


class Reader:
    """Reads from memory, and counts."""

    def __init__(self, delay_s=0.0, broken=None):
        self.n_read, self._delay_s, self._broken, self._lock = 0, delay_s, broken, threading.Lock()

    def __call__(self, digest):
        time.sleep(self._delay_s)
        if digest == self._broken:
            raise DiskGone
        with self._lock:
            self.n_read += 1
        return IMAGES[digest]


def test_every_batch_comes_out_once_and_seen(extractor):
    seen = []
    found = ActivationStream([extractor], Reader(), 2).run(batches(consume=lambda part, values: seen.append(part)))
    assert sorted(batch.tag for batch in found) == list(range(0, len(DIGESTS), SIZE))
    assert len(seen) == len(DIGESTS) // SIZE * len(extractor.layers)


def test_a_caller_who_takes_nothing_holds_back_everything(extractor):
    reader = Reader()
    stream = ActivationStream([extractor], reader, 2)
    assert stream.most_in_flight < len(DIGESTS) // 4
    found = stream.run(batches())
    n_taken = len(next(found).digests)
    assert until_still(lambda: reader.n_read) <= stream.most_in_flight + n_taken
    n_taken += sum(len(next(found).digests) for _ in range(10))
    assert until_still(lambda: reader.n_read) <= stream.most_in_flight + n_taken
    found.close()


def test_closing_stops_reading_and_ends_all_threads(extractor):
    reader, threads_before = Reader(0.001), torch.get_num_threads()
    found = ActivationStream([extractor], reader, 2).run(batches())
    next(found)
    assert threads()
    found.close()
    n_read = reader.n_read
    assert n_read < len(DIGESTS)
    assert not threads()
    assert torch.get_num_threads() == threads_before
    time.sleep(0.05)
    assert reader.n_read == n_read


def test_an_error_in_a_reader_stops_the_others(extractor):
    reader = Reader(0.001, broken=DIGESTS[50])
    with pytest.raises(DiskGone):
        list(ActivationStream([extractor], reader, 2).run(batches()))
    assert reader.n_read < len(DIGESTS) // 2
    assert not threads()


def test_an_error_in_what_names_the_batches_reaches_the_caller(extractor):
    class ShardMissing(KeyError):
        pass

    def broken():
        yield from batches(DIGESTS[:20])
        raise ShardMissing

    with pytest.raises(ShardMissing):
        list(ActivationStream([extractor], Reader(), 2).run(broken()))
    assert not threads()


def test_a_device_without_memory_is_an_error_with_the_batch_size(extractor):
    def refuse(_part, _values):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with raises(ExtractorError, "network.memory", device="cpu", batch_size=4):
        list(ActivationStream([extractor], Reader(), 1).run(batches(consume=refuse)))
    assert not threads()


def test_stage_times_add_up(extractor):
    n, delay_s = 60, 0.004
    ranges = calibrate(extractor, DIGESTS[:20], ("x",), Reader())
    started = time.perf_counter()
    clock = StageClock()
    shard = Shard(tuple(map(Item, DIGESTS[:n])))
    list(extract_partials(extractor, ranges, [shard], Reader(delay_s), workers=2, clock=clock))
    times, elapsed_s = clock.times(), time.perf_counter() - started
    assert times.n_images == n
    assert n * delay_s <= times.read_s <= elapsed_s * times.n_readers
    assert min(times.decode_s, times.forward_s, times.fold_s, times.write_s) > 0
    assert times.decode_s + times.forward_s + times.fold_s <= elapsed_s * 2 * times.n_workers
    assert times.elapsed_s <= elapsed_s


def test_a_slow_location_bounds_the_extraction(extractor):
    clock = StageClock()
    list(ActivationStream([extractor], Reader(0.02), 2, clock).run(batches(DIGESTS[:80])))
    assert clock.times().bound_by == "read"


class Accelerator:
    """Starts at once, finishes later, and notes how many batches wait in its queue."""

    depth = 2

    def __init__(self):
        self.waiting, self.most, self.finished = 0, 0, []

    def start(self, job):
        self.waiting += 1
        self.most = max(self.most, self.waiting)

        def finished():
            self.waiting -= 1
            self.finished.append(job.batch.tag)
            return 0.25, 0.5

        return finished


def test_an_accelerators_queue_is_kept_filled_and_emptied():
    device, ready, done = Accelerator(), SimpleQueue(), []
    for batch in batches(DIGESTS[:40]):
        ready.put(Job(batch, torch.empty(0), 0))
    ready.put(None)
    serve(device, ready, lambda job, *seconds: done.append((job.batch.tag, *seconds)))
    assert device.most == device.depth + 1
    assert done == [(start, 0.25, 0.5) for start in range(0, 40, SIZE)]
    assert device.waiting == 0


def test_an_accelerator_with_nothing_new_to_do_finishes_what_it_has():
    device, ready, done = Accelerator(), SimpleQueue(), threading.Semaphore(0)
    lane = threading.Thread(target=serve, args=(device, ready, lambda *_: done.release()))
    lane.start()
    for batch in batches(DIGESTS[:8]):
        ready.put(Job(batch, torch.empty(0), 0))
    # Both come out, although nothing follows that would push them.
    assert done.acquire(timeout=10)
    assert done.acquire(timeout=10)
    ready.put(None)
    lane.join()


def emd_range(extractors, ranges, n_images=32):
    """Neuron by neuron, between what two extractors make of the same images."""
    shard, shares = Shard(tuple(map(Item, DIGESTS[:n_images]))), []
    for extractor in extractors:
        [(_, partial)] = extract_partials(extractor, ranges, [shard], IMAGES.__getitem__)
        shares.append(partial.histogram.counts / partial.histogram.n_values[:, None])
    return np.abs(np.cumsum(shares[0] - shares[1], axis=1)).sum(axis=1) / shares[0].shape[1]


def test_batch_sizes_can_be_compared_and_are_kept_apart():
    """Last bits move between batch shapes, and with them a value in 10^5 to the next bin."""
    one, many = (load_extractor("seeded_cnn", batch_size=size) for size in (1, 32))
    ranges = calibrate(many, DIGESTS[:32], ("x",), IMAGES.__getitem__)
    assert one.comparability_key(ranges).id == many.comparability_key(ranges).id
    assert one.compute_key(ranges).differences(many.compute_key(ranges)) == ["batch_size: 1 against 32"]
    assert emd_range((one, many), ranges).max() < 1e-4


@pytest.fixture(scope="module")
def fast():
    return load_extractor("seeded_vit", batch_size=8, precision="fast")


def test_fast_has_a_key_of_its_own_and_stays_close(fast):
    """Bins of single values move; distributions move by far less than the range."""
    exact = load_extractor("seeded_vit", batch_size=8)
    ranges = calibrate(exact, DIGESTS[:32], ("x",), IMAGES.__getitem__)
    assert exact.comparability_key(ranges).differences(fast.comparability_key(ranges)) == [
        "precision: 'float32' against 'fast'"
    ]
    assert 0 < emd_range((exact, fast), ranges).mean() < 2e-3


@pytest.mark.parametrize("workers", [1, 3])
def test_fast_partials_do_not_depend_on_the_workers(fast, workers):
    ranges = calibrate(fast, DIGESTS[:32], ("x",), IMAGES.__getitem__, workers=workers)
    shards = [Shard(tuple(map(Item, DIGESTS[start : start + 20]))) for start in (0, 20)]
    together = {
        shard.id: partial
        for shard, partial in extract_partials(fast, ranges, shards, IMAGES.__getitem__, workers=workers)
    }
    [(_, alone)] = extract_partials(fast, ranges, shards[1:], IMAGES.__getitem__, workers=1)
    np.testing.assert_array_equal(together[shards[1].id].histogram.counts, alone.histogram.counts)
