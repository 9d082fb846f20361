"""What the datasets file may say, and what is said where it is wrong."""

import pytest
from pydantic import ValidationError

from dna_pipelines.config import DatasetConfig, View
from dna_pipelines.errors import ConfigError

ENTRY = "datasets:\n  - name: a\n    uri: images\n"


@pytest.fixture
def message(written):
    """What is said of a wrong file, without the file's name."""

    def explained(text):
        with pytest.raises(ConfigError) as caught:
            written(text).load()
        lines = str(caught.value).splitlines()
        return "\n".join(line.removeprefix(f"{written('').path}, ") for line in lines)

    return explained


def test_everything_that_can_be_said_is_read(written):
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
    ("text", "said"),
    [
        (f"{ENTRY}    kind: tarball\n", "line 4: datasets.0.kind: expected 'folder', 'index', 'zip', 'tar'"),
        (f"{ENTRY}    limit: 0\n", "line 4: datasets.0.limit"),
        (f"{ENTRY}    kind: tar\n    image_column: x\n", "image_column belongs to kind parquet or arrow"),
        (f"{ENTRY}    glob: ['*.png']\n", "line 4: datasets.0.glob: unknown key; did you mean 'globs'?"),
        (f"{ENTRY}    metadata: {{uri: x, pathcolumn: y}}\n", "did you mean 'path_column'?"),
        (f"{ENTRY}worker: 2\n", "line 4: worker: unknown key; did you mean 'workers'?"),
        (
            "extractors:\n  - name: seeded_cnn\n    batchsize: 2\n",
            "line 3: extractors.0.batchsize: unknown key; did you mean 'batch_size'?",
        ),
        (f"{ENTRY}    zzz: 1\n", "unknown key; known are name, uri, globs, exclude"),
    ],
)
def test_an_unknown_key_is_refused_with_a_hint(message, text, said):
    assert said in message(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "datasets:\n  - name: a\n    uri: x\n  - name: a b\n    uri: y\n",
            "line 4: datasets.1.name: use letters, digits",
        ),
        ("datasets:\n  - name: -a\n    uri: x\n", "beginning with a letter or a digit"),
        (f"datasets:\n  - name: {'a' * 101}\n    uri: x\n", "at most 100"),
        ("datasets:\n  - uri: x\n", "line 2: datasets.0.name: is missing"),
        ("datasets:\n  - name: a\n", "line 2: datasets.0.uri: is missing"),
        ("datasets:\n  - name: a\n    uri: ''\n", "line 3: datasets.0.uri"),
        (f"{ENTRY}    shard_size: 0\n", "line 4: datasets.0.shard_size"),
        (f"{ENTRY}    shard_size: 5000\n", "line 4: datasets.0.shard_size"),
        ("workers: -1\n", "line 1: workers"),
        (
            "extractors:\n  - {name: a-b, network: seeded_cnn}\n  - {name: a.b, network: seeded_cnn}\n",
            "line 3: the names 'a-b' and 'a.b' differ in '-', '.' and '_' alone",
        ),
        ("# new\nversion: 2\n", "line 2: version: expected 1, the only version"),
        ("version: true\n", "line 1: version: expected a whole number, found true"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line(message, text, said):
    assert said in message(text)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("limit: '7'", "limit: expected a whole number, found the text '7'"),
        ("limit: 1.5", "limit: expected a whole number, found 1.5"),
        ("limit: 0", "limit: expected at least 1, found 0"),
        ("every: true", "every: expected a whole number, found true"),
        ("shard_size: 5000", "shard_size: expected at most 4096, found 5000"),
        ("metadata: labels.csv", "metadata: expected {uri: …}, found the text 'labels.csv'"),
        ("metadata: [a]", "metadata: expected {uri: …}, found a list"),
        ("checks: {max_unreadable: '0.1'}", "checks.max_unreadable: expected a number, found the text '0.1'"),
        ("checks: {max_unreadable: 10}", "checks.max_unreadable: expected at most 1, found 10"),
        ("checks: {max_unread: 1}", "checks.max_unread: unknown key; did you mean 'max_unreadable'?"),
        ("storage_options: x", "storage_options: expected keys with values, such as {key: value}, found the text 'x'"),
        ("globs: [7]", "globs.0: expected text, found 7; write '7'"),
        ("globs: {a: b}", "globs: expected a list, such as [a, b], found keys with values"),
        ("tags: {a: [b]}", "tags.a: expected text, found a list"),
        ("tags: {a: {b: c}}", "tags.a: expected text, found keys with values"),
        ("tags: [a: b]", "tags: tags are texts, or keys with texts"),
        ("tags: [[a], b]", "tags: tags are texts, or keys with texts"),
        ("tags: {~: b}", "tags: tags are texts, or keys with texts"),
        ("tags: {'': b}", "tags: a tag has a key"),
        ("tags: a", "tags: expected keys with values, such as {key: value}, found the text 'a'"),
        ("group_by: [a]", "group_by: expected text, found a list"),
        ("scan_every: 5s", "scan_every: write a time of at least 10 seconds"),
        ("scan_every: true", "scan_every: write a time of at least 10 seconds"),
    ],
)
def test_what_was_found_and_what_is_expected_are_told_in_words_of_the_file(message, entry, said):
    assert message(f"{ENTRY}    {entry}\n").startswith(f"line 4: datasets.0.{said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("datasets:\n  - a\n", "line 2: datasets.0: expected {name: …, uri: …}, found the text 'a'"),
        ("extractors:\n  - builtin\n", "line 2: extractors.0: expected {name: …}, found the text 'builtin'"),
        ("extractors:\n", "line 1: extractors: expected a list, such as [a, b], found nothing"),
        ("extractors: []\n", "line 1: extractors: name at least one, such as {name: builtin}, or leave the key out"),
    ],
)
def test_what_is_no_entry_is_told_with_its_line(message, text, said):
    assert message(text) == said


@pytest.mark.parametrize(
    "entry",
    [
        "batch_size: 0",
        "precision: fp16",
        "device: gpu",
        "device: 'cuda:'",
        "device: mps",
        "views: [foo]",
        "name: 'x y'",
    ],
)
def test_a_wrong_extractor_is_one_mistake(message, entry):
    name = "" if entry.startswith("name") else "name: builtin, "
    said = message(f"extractors:\n  - {{{name}{entry}}}\n")
    assert said.startswith("line 2: extractors.0.")
    assert len(said.splitlines()) == 1


def test_a_device_that_does_not_exist_is_told_with_those_that_may(message, written):
    said = message("extractors:\n  - name: builtin\n    device: gpu\n")
    assert said == (
        "line 3: extractors.0.device: there is no device 'gpu'; use 'cpu', 'cuda' (all GPUs) or one GPU, such as 'cuda:0'"
    )
    for device in ("cpu", "cuda", "cuda:11"):
        [one] = written(f"extractors:\n  - name: builtin\n    device: {device}\n").load().extractors
        assert one.device == device


@pytest.mark.parametrize(
    ("grouping", "said"),
    [
        ("folders", "use 'folder', 'regex:PATTERN' or 'column:NAME'"),
        ("'regex:'", "use 'folder', 'regex:PATTERN' or 'column:NAME'"),
        ("'column:'", "use 'folder', 'regex:PATTERN' or 'column:NAME'"),
        ("'regex:('", "the regular expression is not valid"),
        ("'regex:clip'", "needs one (group)"),
        ("'column:patient'", "needs a metadata table"),
    ],
)
def test_a_wrong_grouping_is_refused(message, grouping, said):
    assert said in message(f"{ENTRY}    group_by: {grouping}\n")


@pytest.mark.parametrize("place", ["uri: train-{00..99}.tar", "uri: hf/*.parquet", "uri: hf\n    kind: arrow"])
def test_a_place_that_says_something_of_its_images_needs_no_table_to_group_by(written, place):
    (dataset,) = written(f"datasets:\n  - name: a\n    {place}\n    group_by: column:patient\n").load().datasets
    assert dataset.group_by == "column:patient"


@pytest.mark.parametrize("grouping", ["folder", r"'regex:clip(\d+)_'", "'regex:(?P<clip>x)'"])
def test_a_right_grouping_is_kept(written, grouping):
    (dataset,) = written(f"{ENTRY}    group_by: {grouping}\n").load().datasets
    assert dataset.group_by == grouping.strip("'")


@pytest.mark.parametrize("section", ["globs", "exclude"])
def test_a_pattern_that_means_nothing_is_refused(message, section):
    assert "line 4" in message(f"{ENTRY}    {section}: ['ok/*.png', 'a**']\n")


def test_all_mistakes_are_told_at_once(message):
    said = message("workers: -1\ndatasets:\n  - name: a\n    uri: x\n    glob: y\n  - name: b\n")
    assert [line.partition(":")[0] for line in said.splitlines()] == ["line 5", "line 6", "line 1"]


@pytest.mark.parametrize(("first", "second"), [("a", "a"), ("Berlin", "berlin")])
def test_two_datasets_of_one_name_are_refused_whatever_the_case(message, first, second):
    said = message(f"datasets:\n  - name: {first}\n    uri: x\n  - name: {second}\n    uri: y\n")
    assert said == f"line 4: the name '{second}' is already taken on line 2; names must differ"


def test_two_extractors_of_one_name_are_refused(message):
    assert "line 3: the name 'seeded_cnn' is already taken" in message(
        "extractors:\n  - name: seeded_cnn\n  - name: seeded_cnn\n"
    )


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
def test_what_is_not_yaml_is_refused_with_its_line(message, text, line):
    assert message(text).startswith(f"line {line}")


@pytest.mark.parametrize("text", ["- name: a\n  uri: b\n", "just words\n", "3\n"])
def test_a_file_that_is_no_mapping_is_refused(message, text):
    assert message(text) == "line 1: expected `datasets:` and a list below it"


@pytest.mark.parametrize(
    "text", ["datasets:\n  a: b\n", f"{ENTRY}    globs: '*.png'\n", f"{ENTRY}    exclude: 'x/**'\n"]
)
def test_where_a_list_is_needed_that_is_said(message, text):
    said = message(text)
    assert "list" in said
    assert "tuple" not in said


def test_bytes_that_are_not_utf8_are_refused(written):
    with pytest.raises(ConfigError, match="cannot be read"):
        written(b"datasets: [] # caf\xe9\n").load()


def test_a_file_that_is_missing_is_refused_with_what_makes_one(file):
    with pytest.raises(ConfigError, match=r"datasets\.yaml: there is no datasets file here; `dna add"):
        file.load()


def test_a_network_is_named_beside_the_extractor(written):
    file = written(
        "extractors:\n  - {name: dino, network: 'hf:org/net@abc', layers: ['encoder.layer.*'], tokens: cls}\n"
        "  - {name: seeded_vit}\n"
    )
    first, second = file.load().extractors
    assert (first.loads, first.layers, first.tokens) == ("hf:org/net@abc", ("encoder.layer.*",), "cls")
    assert (second.loads, second.layers, second.tokens) == ("seeded_vit", (), "all")
    assert first.root == second.root == file.path.parent.parent


def test_a_place_given_as_the_name_is_told_where_it_belongs(message):
    said = message("extractors:\n  - name: hf:org/net\n")
    assert said.startswith("line 2: extractors.0.name: use letters, digits")
    assert "{name: …, network: 'hf:org/net'}" in said


@pytest.mark.parametrize("entry", ["tokens: some", "layers: ['']", "network: ''", "layers: encoder"])
def test_what_cannot_be_a_network_names_the_line(message, entry):
    assert message(f"extractors:\n  - name: a\n    {entry}\n").startswith("line 3: extractors.0.")


@pytest.mark.parametrize("uri", ["images/folder", "list.txt", "images.tar"])
def test_an_image_column_belongs_to_a_table(uri):
    with pytest.raises(ValidationError, match="belongs to kind parquet or arrow"):
        DatasetConfig(name="d", uri=uri, image_column="image")
    assert DatasetConfig(name="d", uri=uri, image_column="image", kind="parquet").image_column == "image"


def test_an_empty_list_of_layers_is_refused(message):
    said = message("extractors:\n  - name: a\n    layers: []\n")
    assert said.startswith("line 3: extractors.0.layers: an empty list names no layer; leave `layers` out")


def test_views_are_extractors_that_follow_theirs(written):
    file = written(
        "extractors:\n"
        "  - {name: a, network: seeded_cnn, views: [projected, whitened16, spatial4], ranges: r.json, batch_size: 4}\n"
        "  - {name: seeded_vit}\n"
    )
    found = file.load().extractors
    assert [one.name for one in found] == ["a", "a.projected", "a.whitened16", "a.spatial4", "seeded_vit"]
    assert [one.view for one in found] == [
        None, View("projected", 64), View("whitened", 16), View("spatial", 4), None,
    ]  # fmt: skip
    assert {one.loads for one in found[:4]} == {"seeded_cnn"}
    assert {one.batch_size for one in found[:4]} == {4}
    assert {one.root for one in found} == {file.root}
    # A file has the ranges of the network's own neurons alone.
    assert [one.ranges for one in found[:4]] == ["r.json", None, None, None]


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ("[proj]", "line 3: extractors.0.views: 'proj' is no view; there are projected, whitened and spatial"),
        ("[spatial, spatial2]", "'spatial2' is there twice ('spatial' is the same)"),
        ("[spatial, spatial]", "'spatial' is there twice"),
        ("[spatial1]", "'spatial1': the number behind spatial is from 2 to 16"),
        ("[projected9999]", "from 1 to 4,096"),
        ("[whitened.3]", "'whitened.3' is no view"),
        ("projected", "expected a list, such as [a, b]"),
    ],
)
def test_wrong_views_are_named_by_their_line(message, views, expected):
    assert expected in message(f"extractors:\n  - name: seeded_cnn\n    views: {views}\n")


def test_names_that_a_view_has_are_taken(message):
    views = "extractors:\n  - {name: a, network: seeded_cnn, views: [whitened]}\n"
    said = message(views + "  - {name: A.whitened, network: seeded_cnn}\n")
    assert said.startswith("line 3: the name 'A.whitened' is already taken on line 2")
    assert "(a view is called EXTRACTOR.VIEW)" in said
    said = message(views + "  - {name: a_whitened, network: seeded_cnn}\n")
    assert said.startswith("line 3: the names 'a.whitened' and 'a_whitened' differ in '-', '.' and '_' alone")
    long = "a" * 95
    assert "too long (at most 100)" in message(
        f"extractors:\n  - {{name: {long}, network: seeded_cnn, views: [projected]}}\n"
    )
