"""What the datasets file may contain, and how its mistakes are reported."""

import pytest
from pydantic import ValidationError

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import ConfigError
from dna_pipelines_tests.config.conftest import LIST, holds
from dna_pipelines_tests.raising import raises

ENTRY = "datasets:\n  - name: a\n    uri: images\n"


def test_every_setting_is_read(written):
    config = written(
        """\
version: 1
workers: 3
extractors:
  - {name: seeded_vit, calibrate_on: [a], calibration_images: 9, batch_size: 4, device: cuda}
datasets:
  - name: a
    uri: s3://bucket/images
    globs: ['*.png', 'new/**']
    exclude: [thumbs/**]
    group_by: column:patient
    metadata: {uri: labels.csv, path_column: file, columns: [patient]}
    tags: {team: perception, year: 2024}
    shard_size: 16
"""
    ).load()
    (dataset,), (extractor,) = config.datasets, config.extractors
    assert (config.workers, extractor.name, extractor.calibrate_on) == (3, "seeded_vit", ("a",))
    assert (dataset.globs, dataset.exclude) == (("*.png", "new/**"), ("thumbs/**",))
    assert dataset.metadata.columns == ("patient",)
    assert dataset.tags == {"team": "perception", "year": "2024"}
    assert dataset.shard_size == 16


def test_tags_may_be_a_list(written):
    (dataset,) = written(f"{ENTRY}    tags: [night, 2024]\n").load().datasets
    assert dataset.tags == {"night": "", "2024": ""}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "version: 1\n", "datasets: []\n", "datasets:\n"])
def test_a_file_without_datasets_is_a_valid_one(written, text):
    config = written(text).load()
    assert config.datasets == ()
    assert [extractor.name for extractor in config.extractors] == ["builtin"]


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_windows_line_ends_and_byte_order_marks_do_not_matter(written, end, mark):
    (dataset,) = written((mark + ENTRY).replace("\n", end)).load().datasets
    assert (dataset.name, dataset.uri) == ("a", "images")


@pytest.mark.parametrize(
    ("text", "line", "key", "suggestion"),
    [
        (f"{ENTRY}    glob: ['*.png']\n", 4, "datasets.0.glob", "globs"),
        (f"{ENTRY}    metadata: {{uri: x, pathcolumn: y}}\n", 4, "datasets.0.metadata.pathcolumn", "path_column"),
        (f"{ENTRY}    checks: {{max_unread: 1}}\n", 4, "datasets.0.checks.max_unread", "max_unreadable"),
        (f"{ENTRY}worker: 2\n", 4, "worker", "workers"),
        ("extractors:\n  - name: seeded_cnn\n    batchsize: 2\n", 3, "extractors.0.batchsize", "batch_size"),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(refused, text, line, key, suggestion):
    code, facts = refused(text)
    assert code == "config.unknown-key"
    assert holds(facts, {"line": line, "key": key, "suggestion": suggestion})
    assert suggestion in facts["known"]


def test_an_unknown_key_like_no_other_is_refused_with_those_there_are(refused):
    code, facts = refused(f"{ENTRY}    zzz: 1\n")
    assert code == "config.unknown-key"
    assert holds(facts, {"line": 4, "key": "datasets.0.zzz", "suggestion": None})
    assert facts["known"][:4] == ["name", "uri", "globs", "exclude"]


@pytest.mark.parametrize(
    ("text", "line", "code", "expected"),
    [
        ("datasets:\n  - name: a\n    uri: x\n  - name: a b\n    uri: y\n", 4, "config.bad-name", "datasets.1.name"),
        ("datasets:\n  - name: -a\n    uri: x\n", 2, "config.bad-name", "datasets.0.name"),
        (f"datasets:\n  - name: {'a' * 101}\n    uri: x\n", 2, "config.bad-name", "datasets.0.name"),
        ("datasets:\n  - name: a.json\n    uri: x\n", 2, "config.name-of-file", "datasets.0.name"),
        ("datasets:\n  - uri: x\n", 2, "config.missing-key", "datasets.0.name"),
        ("datasets:\n  - name: a\n", 2, "config.missing-key", "datasets.0.uri"),
        ("datasets:\n  - name: a\n    uri: ''\n", 3, "config.empty-value", "datasets.0.uri"),
        (f"{ENTRY}    kind: tar\n    image_column: x\n", 2, "config.image-column-without-table", "datasets.0"),
        ("workers: -1\n", 1, "config.out-of-range", "workers"),
        ("# new\nversion: 2\n", 2, "config.unknown-version", "version"),
        ("version: true\n", 1, "config.wrong-type", "version"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line(refused, text, line, code, expected):
    found, facts = refused(text)
    assert (found, facts["line"], facts["key"]) == (code, line, expected)


WHOLE, MAPPING = "a whole number", "keys with values, such as {key: value}"


@pytest.mark.parametrize(
    ("entry", "key", "code", "expected", "value"),
    [
        ("limit: '7'", "limit", "wrong-type", WHOLE, "7"),
        ("limit: 1.5", "limit", "wrong-type", WHOLE, 1.5),
        ("limit: 0", "limit", "out-of-range", "at least 1", 0),
        ("every: true", "every", "wrong-type", WHOLE, True),
        ("shard_size: 0", "shard_size", "out-of-range", "at least 1", 0),
        ("shard_size: 5000", "shard_size", "out-of-range", "at most 4096", 5000),
        ("metadata: labels.csv", "metadata", "wrong-type", "{uri: …}", "labels.csv"),
        ("metadata: [a]", "metadata", "wrong-type", "{uri: …}", "a list"),
        ("checks: {max_unreadable: '0.1'}", "checks.max_unreadable", "wrong-type", "a number", "0.1"),
        ("checks: {max_unreadable: 10}", "checks.max_unreadable", "out-of-range", "at most 1", 10),
        ("storage_options: x", "storage_options", "wrong-type", MAPPING, "x"),
        ("globs: [7]", "globs.0", "wrong-type", "text", 7),
        ("globs: {a: b}", "globs", "wrong-type", LIST, "keys with values"),
        ("tags: {a: [b]}", "tags.a", "wrong-type", "text", "a list"),
        ("tags: {a: {b: c}}", "tags.a", "wrong-type", "text", "keys with values"),
        ("tags: [a: b]", "tags", "bad-tags", None, "a list"),
        ("tags: [[a], b]", "tags", "bad-tags", None, "a list"),
        ("tags: {~: b}", "tags", "bad-tags", None, "keys with values"),
        ("tags: {'': b}", "tags", "bad-tags", None, "keys with values"),
        ("tags: a", "tags", "wrong-type", MAPPING, "a"),
        ("group_by: [a]", "group_by", "wrong-type", "text", "a list"),
        ("scan_every: 5s", "scan_every", "bad-interval", None, "5s"),
        ("scan_every: true", "scan_every", "bad-interval", None, True),
    ],
)
def test_what_the_file_has_and_what_is_expected_are_reported(refused, entry, key, code, expected, value):
    found, facts = refused(f"{ENTRY}    {entry}\n")
    assert found == f"config.{code}"
    wanted = {"line": 4, "key": f"datasets.0.{key}", "value": value, "expected": expected}
    assert holds(facts, wanted)


def test_an_unknown_kind_is_refused_with_those_there_are(refused):
    code, facts = refused(f"{ENTRY}    kind: tarball\n")
    assert code == "config.unknown-value"
    assert holds(facts, {"line": 4, "key": "datasets.0.kind", "value": "tarball"})
    assert all(kind in facts["expected"] for kind in ("folder", "index", "zip", "tar", "parquet", "arrow"))


def test_a_number_that_has_to_be_text_is_shown_with_quotes(written):
    with raises(ConfigError, "config.wrong-type", key="datasets.0.globs.0") as caught:
        written(f"{ENTRY}    globs: [7]\n").load()
    assert "'7'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "key", "code", "expected", "value"),
    [
        ("datasets:\n  - a\n", 2, "datasets.0", "wrong-type", "{name: …, uri: …}", "a"),
        ("extractors:\n  - builtin\n", 2, "extractors.0", "wrong-type", "{name: …}", "builtin"),
        ("extractors:\n", 1, "extractors", "wrong-type", LIST, None),
        ("extractors: []\n", 1, "extractors", "no-extractors", None, "a list"),
    ],
)
def test_what_is_not_an_entry_is_refused_with_its_line(refused, text, line, key, code, expected, value):
    found, facts = refused(text)
    assert found == f"config.{code}"
    assert holds(facts, {"line": line, "key": key, "expected": expected, "value": value})


@pytest.mark.parametrize(
    ("grouping", "code"),
    [
        ("folders", "config.unknown-grouping"),
        ("'regex:'", "config.unknown-grouping"),
        ("'column:'", "config.unknown-grouping"),
        ("'regex:('", "config.bad-regex"),
        ("'regex:clip'", "config.regex-without-group"),
    ],
)
def test_a_wrong_grouping_is_refused(refused, grouping, code):
    assert refused(f"{ENTRY}    group_by: {grouping}\n")[0] == code


def test_a_column_of_an_index_needs_a_table(refused):
    text = "datasets:\n  - name: a\n    uri: list.txt\n    group_by: 'column:patient'\n"
    assert refused(text)[0] == "config.grouping-without-metadata"


@pytest.mark.parametrize(
    "location",
    ["uri: images", "uri: images.zip", "uri: train-{00..99}.tar", "uri: hf/*.parquet", "uri: hf\n    kind: arrow"],
)
def test_a_location_with_metadata_of_its_own_needs_no_table_to_group_by(written, location):
    (dataset,) = written(f"datasets:\n  - name: a\n    {location}\n    group_by: column:patient\n").load().datasets
    assert dataset.group_by == "column:patient"


@pytest.mark.parametrize("grouping", ["folder", r"'regex:clip(\d+)_'", "'regex:(?P<clip>x)'"])
def test_a_right_grouping_is_kept(written, grouping):
    (dataset,) = written(f"{ENTRY}    group_by: {grouping}\n").load().datasets
    assert dataset.group_by == grouping.strip("'")


@pytest.mark.parametrize("section", ["globs", "exclude"])
def test_a_pattern_that_means_nothing_is_refused(refused, section):
    code, facts = refused(f"{ENTRY}    {section}: ['ok/*.png', 'a**']\n")
    assert code == "config.bad-pattern"
    assert holds(facts, {"line": 4, "key": f"datasets.0.{section}", "pattern": "a**"})


def test_all_mistakes_are_reported_at_once(refused):
    code, facts = refused("workers: -1\ndatasets:\n  - name: a\n    uri: x\n    glob: y\n  - name: b\n")
    assert code == "config.several-mistakes"
    assert [(mistake["line"], mistake["code"]) for mistake in facts["mistakes"]] == [
        (5, "config.unknown-key"), (6, "config.missing-key"), (1, "config.out-of-range"),
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [("a", "a"), ("Berlin", "berlin")])
def test_two_datasets_of_one_name_are_refused_whatever_the_case(refused, first, second):
    code, facts = refused(f"datasets:\n  - name: {first}\n    uri: x\n  - name: {second}\n    uri: y\n")
    assert code == "config.name-taken"
    assert holds(facts, {"line": 4, "name": second, "first_line": 2})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("datasets: [\n", 2),
        ("datasets:\n\t- name: a\n", 2),
        ("version: 1\nversion: 1\n", 2),
        ("version: 1\n---\nversion: 1\n", 2),
        ("version: 1\ndatasets: *nowhere\n", 2),
        ("version: 1\n# a bell: \x07\n", 2),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(refused, text, line):
    code, facts = refused(text)
    assert (code, facts["line"]) == ("config.not-yaml", line)


@pytest.mark.parametrize("text", ["- name: a\n  uri: b\n", "just words\n", "3\n"])
def test_a_file_that_is_no_mapping_is_refused(refused, text):
    code, facts = refused(text)
    assert (code, facts["line"]) == ("config.not-a-mapping", 1)


@pytest.mark.parametrize(
    "text", ["datasets:\n  a: b\n", f"{ENTRY}    globs: '*.png'\n", f"{ENTRY}    exclude: 'x/**'\n"]
)
def test_where_a_list_is_needed_the_error_expects_one(refused, text):
    code, facts = refused(text)
    assert (code, facts["expected"]) == ("config.wrong-type", LIST)


def test_bytes_that_are_not_utf8_are_refused(written):
    file = written(b"datasets: [] # caf\xe9\n")
    with raises(ConfigError, "config.unreadable", file=str(file.path)):
        file.load()


def test_a_file_that_is_missing_is_refused(file):
    with raises(ConfigError, "config.no-file", file=str(file.path)):
        file.load()


@pytest.mark.parametrize("uri", ["images/folder", "list.txt", "images.tar"])
def test_an_image_column_belongs_to_a_table(uri):
    with pytest.raises(ValidationError) as caught:
        DatasetConfig(name="d", uri=uri, image_column="image")
    assert [problem["type"] for problem in caught.value.errors()] == ["config.image-column-without-table"]
    assert DatasetConfig(name="d", uri=uri, image_column="image", kind="parquet").image_column == "image"


def test_aliases_that_multiply_values_are_refused(written):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
    with raises(ConfigError, "config.too-large", at_most=1_000_000):
        written("\n".join(lines)).load()


def test_a_declared_reading(written):
    file = written(
        "datasets:\n"
        "  - {name: a, uri: images, pixels: {bits: 12}, bands: [4, 3, 2], pages: all}\n"
        "  - {name: b, uri: images, value_range: [0, 0.5], pages: first}\n"
        "  - {name: c, uri: images}\n"
    )
    a, b, c = file.load().datasets
    assert (a.reading, a.pages) == ({"bits": 12, "bands": [4, 3, 2]}, "all")
    assert (b.reading, b.pages) == ({"value_range": [0.0, 0.5]}, "first")
    assert (c.reading, c.pages) == ({}, None)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("pixels: {bits: 0}", "config.out-of-range"),
        ("pixels: {bits: 12.0}", "config.wrong-type"),
        ("pixels: 12", "config.wrong-type"),
        ("pixels: {bits: 12, bot: 1}", "config.unknown-key"),
        ("value_range: [1, 1]", "config.bad-value-range"),
        ("value_range: [0, .inf]", "config.bad-value-range"),
        ("value_range: [0]", "config.missing-key"),
        ("bands: [1, 2]", "config.bad-bands"),
        ("bands: [0]", "config.bad-bands"),
        ("pages: some", "config.unknown-value"),
        ("pixels: {bits: 12}\n    value_range: [0, 1]", "config.scale-twice"),
    ],
)
def test_a_reading_that_cannot_be(written, line, code):
    with raises(ConfigError, code):
        written(f"{ENTRY}    {line}\n").load()
