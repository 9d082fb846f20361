"""Stage times: which stage limits an extraction."""

from dataclasses import replace

import pytest

from dna_pipelines.extraction.stream.stage_times import STAGES, StageClock, StageTimes


def times(n_devices=0, **seconds):
    named = {f"{stage}_s": value for stage, value in seconds.items()}
    return StageTimes(100, 10.0, **named, n_readers=8, n_workers=4, n_devices=n_devices)


@pytest.mark.parametrize(
    ("measured", "bound"),
    [
        (times(decode=10, forward=20, fold=5), "forward"),
        (times(decode=21, forward=20, fold=5), "decode"),
        # 35 s on 4 cores are 9 s; 8 readers that waited 69 s together waited no longer.
        (times(read=69, decode=10, forward=20, fold=5), "forward"),
        (times(read=75, decode=10, forward=20, fold=5), "read"),
        (times(decode=10, forward=20, fold=5, write=9), "write"),
        # On an accelerator the network leaves the cores to decoding.
        (times(1, decode=30, forward=7, fold=0.4), "decode"),
        (times(1, decode=30, forward=7, fold=0.6), "forward"),
        (times(1, decode=8, forward=3, fold=6), "fold"),
        (times(2, decode=30, forward=14, fold=0.8), "decode"),
        (times(2, decode=30, forward=14, fold=1.2), "forward"),
    ],
)
def test_the_busiest_resource_bounds(measured, bound):
    assert measured.bound_by == bound


def test_shares_are_of_the_work_and_reading_is_none():
    measured = times(read=50, decode=10, forward=20, fold=5, write=5)
    assert [measured.share(stage) for stage in STAGES[1:]] == [0.25, 0.5, 0.125, 0.125]


def test_times_of_several_extractions_add_up():
    one, two = times(decode=10, forward=20), times(1, decode=1, fold=2, write=3)
    both = one.merge(two)
    assert (both.n_images, both.elapsed_s) == (200, 20.0)
    assert [both.seconds(stage) for stage in STAGES] == [0, 11, 20, 2, 3]
    assert both.n_devices == 1
    assert both.n_writers == 1
    assert one.merge(replace(two, n_writers=3)).n_writers == 3
    assert StageTimes().merge(one) == one


def test_the_line_for_people_has_the_rate_the_limiting_stage_and_the_shares():
    measured = StageTimes(1234, 5.876, 1.0, 2.2, 7.1, 0.4, 0.3, n_readers=8, n_workers=2)
    assert measured.bound_by == "forward"
    assert measured.share("forward") == pytest.approx(0.71)
    for part in ("1,234", "210/s", "forward", "71%", "decode 22%", "fold 4%", "write 3%"):
        assert part in str(measured)
    slow = StageTimes(800, 200.0, 15.0, 0.9, 0.1, 0.0, 0.0, n_readers=8, n_workers=2)
    assert slow.bound_by == "read"
    for part in ("800", "4.0/s", "read", "8 threads", "decode 90%", "forward 10%"):
        assert part in str(slow)


def test_several_writers_share_the_writing():
    measured = times(1, decode=10, forward=4, fold=1, write=7)
    assert measured.bound_by == "write"
    assert replace(measured, n_writers=2).bound_by == "forward"
    busy = replace(measured, n_writers=2, write_s=32.0)
    assert busy.bound_by == "write"
    for part in ("write", "68%", "2 threads"):
        assert part in str(busy)


@pytest.mark.parametrize("measured", [StageTimes(99, 9.9, decode_s=9.0), StageTimes(100, 0.5, decode_s=0.4)])
def test_no_limiting_stage_is_claimed_for_so_little_work(measured):
    assert not measured.is_conclusive
    assert f"{measured.images_per_s:.0f}/s" in str(measured)
    assert measured.bound_by not in str(measured)


def test_nothing_extracted_is_no_error():
    assert StageClock().times().images_per_s == 0.0
    assert StageTimes().share("forward") == 0.0
