"""How images are grouped."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import SourceError
from dna_pipelines.manifests import ImageRow
from dna_pipelines.manifests import grouping as module
from dna_pipelines.manifests.grouping import grouping
from dna_pipelines_tests.raising import raises

ENDLESS = "^((a|aa)+)!$"
"""A pattern that tries every way to divide a row of letters."""


def rows(*names):
    return [ImageRow(name.encode(), 1, "1", "ok") for name in names]


def grouped(group_by, names):
    group = grouping(DatasetConfig(name="d", uri="images", group_by=group_by))
    return [group(row) for row in rows(*names)]


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        (None, [None, None, None]),
        ("folder", ["a/b", "a", ""]),
        ("regex:(clip\\d+)", ["clip1", "clip22", None]),
        ("regex:(x)?.png", [None, None, None]),
    ],
)
def test_images_are_grouped_by_name(group_by, groups):
    assert grouped(group_by, ["a/b/clip1.png", "a/clip22.png", "c.png"]) == groups


@given(
    st.lists(st.text("ab1_/.", max_size=12), max_size=5),
    st.sampled_from([r"(\d+)", r"^(.*?)_", r"(?i)(A+)b", r"(\w)/"]),
)
def test_a_pattern_means_what_it_means_in_python(names, pattern):
    expected = [match[1] if (match := re.search(pattern, name)) else None for name in names]
    assert grouped(f"regex:{pattern}", names) == expected


def test_a_pattern_that_never_ends_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    name, start_s = "a" * 60 + "?", time.monotonic()
    with raises(SourceError, "source.slow-pattern", pattern=ENDLESS, path=name):
        grouped(f"regex:{ENDLESS}", ["b.png", name])
    assert time.monotonic() - start_s < 5


def test_a_pattern_that_is_slow_for_every_name_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(module, "_SHARE_S", 0.0)
    with raises(SourceError, "source.slow-pattern", pattern=ENDLESS):
        grouped(f"regex:{ENDLESS}", ["a" * 17 + "?"] * 1000)
