"""Codes that are near each other, against looking at every bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dna_pipelines.comparison import codes as module
from dna_pipelines.comparison.codes import near_pairs
from dna_pipelines.errors import UserError
from dna_pipelines_tests.raising import raises


def slow(a, b, most, *, within):
    """Every pair, bit by bit."""
    found = set()
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            bits = int(np.unpackbits(left ^ right).sum())
            if bits <= most and (i < j or not within):
                found.add((i, j, bits))
    return found


def triples(pairs):
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.n_bits.tolist(), strict=True))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n_bytes=st.sampled_from([1, 8, 12, 17, 25]), most=st.integers(0, 40))
def test_the_pairs_are_those_of_the_slow_search(seed, n_bytes, most):
    rng = np.random.default_rng(seed)
    # Few different bytes, so that there are near pairs.
    a, b = (rng.choice([0, 1, 3, 255], (n, n_bytes), p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint8) for n in (5, 4))
    between, within = triples(near_pairs(a, b, most)), triples(near_pairs(a, None, most))
    assert set(between) == slow(a, b, most, within=False)
    assert set(within) == slow(a, a, most, within=True)
    assert between == sorted(between)


def test_many_rows_in_many_tasks_and_tiles_are_the_slow_search():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (600, 12), np.uint8), rng.integers(0, 256, (2500, 12), np.uint8)
    b[rng.integers(0, 2500, 300)] = a[rng.integers(0, 600, 300)]
    found = triples(near_pairs(a, b, 4))
    differing = np.bitwise_count(a.view(np.uint32)[:, None] ^ b.view(np.uint32)[None]).sum(axis=2)
    assert found == [(int(i), int(j), int(differing[i, j])) for i, j in zip(*np.nonzero(differing <= 4), strict=True)]
    assert len(found) >= 250


def test_more_pairs_than_a_task_has_room_for_are_all_found():
    equal = np.zeros((80, 2), np.uint8)
    assert len(near_pairs(equal, None, 0).first) == 80 * 79 // 2


def test_far_too_many_pairs_are_refused_in_good_time(monkeypatch):
    monkeypatch.setattr(module, "_ROWS_A_TASK", 16)
    with raises(UserError, "compare.too-many-pairs", most_pairs=100):
        near_pairs(np.zeros((200, 2), np.uint8), None, 0, most_pairs=100)


def test_codes_of_different_networks_are_refused():
    with pytest.raises(ValueError):
        near_pairs(np.zeros((2, 8), np.uint8), np.zeros((2, 16), np.uint8), 3)


def test_nothing_has_no_pairs():
    assert len(near_pairs(np.zeros((0, 12), np.uint8), np.zeros((3, 12), np.uint8), 5).first) == 0
