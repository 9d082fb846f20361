"""Values of tables as text."""

import datetime as dt
import decimal
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.sources.text_values import column_texts, json_text

NEW_YEAR = dt.datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001 (a time without a zone)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([3]), "3"),
        (pa.array([3.0]), "3"),
        (pa.array([0.1], pa.float32()), "0.1"),
        (pa.array([12345678901234567890], pa.uint64()), "12345678901234567890"),
        (pa.array([decimal.Decimal("1.20")]), "1.20"),
        (pa.array([False]), "false"),
        (pa.array(["a"]).dictionary_encode(), "a"),
        (pa.array([dt.date(2024, 1, 2)]), "2024-01-02"),
        (pa.array([dt.time(1, 2, 3)]), "01:02:03"),
        (pa.array([dt.timedelta(seconds=3)]), "3000000 us"),
        (pa.array([NEW_YEAR]), "2024-01-02 03:04:05"),
        (pa.array([NEW_YEAR.replace(microsecond=120_000)]), "2024-01-02 03:04:05.12"),
        (pa.array([NEW_YEAR.replace(hour=0, minute=0, second=0)]), "2024-01-02 00:00:00"),
        # Finer than Python's times, and later.
        (pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")), "2023-11-14 22:13:20.123456789"),
        (pa.array([1_700_000_000], pa.timestamp("s", "UTC")), "2023-11-14 22:13:20Z"),
        (pa.array([1_700_000_000], pa.timestamp("s", "Europe/Berlin")), "2023-11-14 23:13:20+0100"),
        (pa.array([1_700_000_000], pa.timestamp("s", "Mars/Olympus")), "2023-11-14 22:13:20Z"),
        (pa.array([10**18], pa.timestamp("us")), "<value out of range: 1000000000000000000>"),
        (pa.array([["x", None]]), '["x", null]'),
        (pa.array([{"day": dt.date(2024, 1, 2)}]), '{"day": "2024-01-02"}'),
        (pa.chunked_array([["ä"]]), "ä"),
    ],
)
def test_a_value_is_text_that_says_the_same(column, text):
    assert column_texts(column) == [text]
    assert column_texts(pa.concat_arrays([*pa.chunked_array(column).chunks, pa.nulls(1, column.type)])) == [text, None]


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(pa.ArrowInvalid):
        column_texts(pa.array([b"\xff"]))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False), st.lists))
def test_json_is_read_back_as_it_was(value):
    assert json.loads(json_text(value)) == value


@given(st.text())
def test_text_is_what_it_is(text):
    assert json_text(text) == text
