"""The page of results: replacing a section keeps the others."""

from benchmarks.measure import Row
from benchmarks.results import put, section

ORDER = ["one", "two", "three"]


def headings(text):
    return [line for line in text.splitlines() if line.startswith("#")]


def test_sections_keep_their_order_and_the_others_their_text():
    text = put("", "two", section("two", "About two.", [Row("a thing", "1 s", "2 s", "2x", ">= 1", True)], 3.2), ORDER)
    text = put(text, "one", section("one", "About one.", [Row("more", "4", "", "")], 1), ORDER)
    assert headings(text) == ["# Results", "## one", "## two"]
    assert "| a thing | 1 s | 2 s | 2x | >= 1 | met |  |" in text
    newer = put(text, "one", section("one", "About one.", [Row("more", "5", "", "")], 2), ORDER)
    assert headings(newer) == headings(text)
    assert "| more | 5 |" in newer
    assert "| more | 4 |" not in newer
    assert newer.partition("## two")[2] == text.partition("## two")[2]


def test_a_section_of_no_benchmark_goes():
    text = put("# Results\n\n## old\n\nGone.\n\n## two\n\nKept.\n", "three", "## three\n\nNew.\n", ORDER)
    assert headings(text) == ["# Results", "## two", "## three"]
    assert "Kept." in text
    assert "Gone." not in text
