"""Threads that work ahead: results in order, a bounded number of them, and nothing left running."""

import threading
import time
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dna_pipelines.prefetch import prefetch


@settings(max_examples=30, deadline=None)
@given(delays_ms=st.lists(st.integers(0, 3), max_size=12), n_threads=st.integers(1, 5))
def test_results_come_in_the_order_of_the_tasks(delays_ms, n_threads):
    def work(number, delay_ms):
        time.sleep(delay_ms / 1000)
        return number

    tasks = [partial(work, number, delay_ms) for number, delay_ms in enumerate(delays_ms)]
    assert list(prefetch(tasks, n_threads)) == list(range(len(tasks)))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_no_more_is_begun_than_threads_can_do_and_one_more(n_threads):
    n_begun, n_taken, most = 0, 0, 0

    def tasks():
        nonlocal n_begun, most
        for number in range(20):
            n_begun += 1
            most = max(most, n_begun - n_taken)
            yield lambda number=number: time.sleep(0.001) or number

    for _ in prefetch(tasks(), n_threads):
        n_taken += 1
    assert n_taken == 20
    assert most <= n_threads + 1


def test_threads_work_beside_each_other():
    meeting = threading.Barrier(3, timeout=20)
    assert len(list(prefetch([meeting.wait] * 3, 3))) == 3


def test_an_error_of_a_task_comes_in_its_place():
    results = prefetch([lambda: 1, lambda: 1 // 0, lambda: 3], 1)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("ended_by", ["closing", "error"])
def test_what_was_begun_is_finished_before_it_ends(ended_by):
    begun, done = [], []

    class NoMore(Exception):
        pass

    def work(number):
        time.sleep(0.02)
        done.append(number)

    def tasks():
        for number in range(6):
            begun.append(number)
            yield partial(work, number)
            if ended_by == "error" and number == 2:
                raise NoMore

    results = prefetch(tasks(), 1)
    if ended_by == "closing":
        next(results)
        results.close()
    else:
        with pytest.raises(NoMore):
            list(results)
    # One of them was waiting for the thread.
    assert 2 <= len(begun) < 6
    assert done == begun
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


@pytest.mark.parametrize("ended_by", ["closing", "error"])
def test_an_error_of_started_work_is_reported_though_something_else_ended_it(ended_by):
    both = threading.Event()

    def tasks():
        yield lambda: both.wait(20)
        both.set()
        yield lambda: time.sleep(0.02) or 1 // 0
        if ended_by == "error":
            raise KeyError("no more")
        while True:
            yield None

    results = prefetch(tasks(), 2)
    if ended_by == "closing":
        next(results)
    with pytest.raises(ZeroDivisionError):
        results.close() if ended_by == "closing" else list(results)


def test_what_is_done_is_given_away_where_there_is_nothing_new_to_begin():
    done = threading.Event()

    def tasks():
        yield done.set
        assert done.wait(20)
        while True:
            yield None

    results = prefetch(tasks(), 3)
    assert next(results) is None
    results.close()
