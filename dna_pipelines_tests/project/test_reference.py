"""References to datasets, versions and slices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.errors import UnknownName
from dna_pipelines.project.reference import Condition, Reference
from dna_pipelines_tests.raising import raises


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", Reference("a")),
        ("a@-1", Reference("a", "-1")),
        ("a@3", Reference("a", "3")),
        ("a[weather=rain]", Reference("a", "", (Condition("weather", "rain"),))),
        ("a[weather=rain]@-1", Reference("a", "-1", (Condition("weather", "rain"),))),
        ("a[ weather = heavy rain ]", Reference("a", "", (Condition("weather", "heavy rain"),))),
        (
            "a[weather=rain,camera!=front]",
            Reference("a", "", (Condition("weather", "rain"), Condition("camera", "front", equal=False))),
        ),
        ("a[weather=]", Reference("a", "", (Condition("weather", None),))),
        ("a[weather!=]", Reference("a", "", (Condition("weather", None, equal=False),))),
        ("a['x,y'=\"a ]@1, b\"]", Reference("a", "", (Condition("x,y", "a ]@1, b"),))),
        ("a[x='it''s']", Reference("a", "", (Condition("x", "it's"),))),
        ("a[x=it's]", Reference("a", "", (Condition("x", "it's"),))),
        ("a[x=a=b]", Reference("a", "", (Condition("x", "a=b"),))),
        ("a[x=me@home.org]@2", Reference("a", "2", (Condition("x", "me@home.org"),))),
    ],
)
def test_a_reference_is_read(text, expected):
    assert Reference.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "reason", "index", "expected"),
    [
        ("a[weather=rain", "unclosed-bracket", 14, [",", "]"]),
        ("a[", "no-condition", 2, ["COLUMN"]),
        ("a[]", "no-condition", 2, ["COLUMN"]),
        ("a[weather]", "no-condition", 9, ["=", "!="]),
        ("a[=rain]", "no-condition", 2, ["COLUMN"]),
        ("a[x=1,]", "no-condition", 6, ["COLUMN"]),
        ("a[x='1]", "unclosed-quote", 5, ["'"]),
        ("a[x='1' 2]", "after-quote", 8, [",", "]"]),
        ("a[x=1]b", "after-bracket", 6, ["@"]),
        ("a[x!1]", "no-condition", 3, ["=", "!="]),
    ],
)
def test_a_text_that_is_not_a_reference_is_an_error_with_its_reason(text, reason, index, expected):
    with raises(UnknownName, "name.syntax", reference=text, reason=reason, index=index, expected=expected):
        Reference.parse(text)


conditions = st.builds(Condition, st.text(min_size=1), st.none() | st.text(min_size=1), st.booleans())


@given(st.lists(conditions, max_size=3, unique_by=str), st.sampled_from(["", "3", "-1", "abc"]))
def test_a_reference_is_read_as_it_is_written(where, version):
    wanted = Reference("name", version, tuple(sorted(where, key=str)))
    assert Reference.parse(str(wanted)) == wanted


def test_unequal_holds_for_every_other_value_and_for_none():
    others = Condition("x", "1", equal=False)
    assert [others.holds(values) for values in ({"x": "1"}, {"x": "2"}, {})] == [False, True, True]
    nothing = Condition("x", None)
    assert [nothing.holds(values) for values in ({"x": "1"}, {"y": "2"}, {})] == [False, True, True]
