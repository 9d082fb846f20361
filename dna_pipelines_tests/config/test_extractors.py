"""What the datasets file says of extractors: names, networks, devices and views."""

import pytest

from dna_pipelines.config import View
from dna_pipelines.errors import ConfigError
from dna_pipelines_tests.config.conftest import LIST, holds
from dna_pipelines_tests.raising import raises


def test_names_that_dagster_does_not_distinguish_are_refused(refused):
    text = "extractors:\n  - {name: a-b, network: seeded_cnn}\n  - {name: a.b, network: seeded_cnn}\n"
    code, facts = refused(text)
    assert code == "config.names-too-similar"
    assert holds(facts, {"line": 3, "names": ["a-b", "a.b"]})


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("batch_size: 0", "out-of-range"),
        ("precision: fp16", "unknown-value"),
        ("device: gpu", "unknown-device"),
        ("device: 'cuda:'", "unknown-device"),
        ("device: mps", "unknown-device"),
        ("views: [foo]", "unknown-view"),
        ("name: 'x y'", "bad-name"),
        ("ranges: a.json, calibrate_on: [a]", "ranges-twice"),
    ],
)
def test_a_wrong_extractor_is_one_mistake(refused, entry, code):
    name = "" if entry.startswith("name") else "name: builtin, "
    found, facts = refused(f"extractors:\n  - {{{name}{entry}}}\n")
    assert (found, facts["line"]) == (f"config.{code}", 2)
    assert facts["key"].startswith("extractors.0")


def test_a_device_that_does_not_exist_is_refused(refused, written):
    code, facts = refused("extractors:\n  - name: builtin\n    device: gpu\n")
    assert code == "config.unknown-device"
    assert holds(facts, {"line": 3, "key": "extractors.0.device", "value": "gpu"})
    for device in ("cpu", "cuda", "cuda:11"):
        [extractor] = written(f"extractors:\n  - name: builtin\n    device: {device}\n").load().extractors
        assert extractor.device == device


def test_two_extractors_of_one_name_are_refused(refused):
    code, facts = refused("extractors:\n  - name: seeded_cnn\n  - name: seeded_cnn\n")
    assert code == "config.name-taken"
    assert holds(facts, {"line": 3, "name": "seeded_cnn", "first_line": 2, "is_view": False})


def test_a_network_is_named_beside_the_extractor(written):
    file = written(
        "extractors:\n  - {name: dino, network: 'hf:org/net@abc', layers: ['encoder.layer.*'], tokens: cls}\n"
        "  - {name: seeded_vit}\n"
    )
    first, second = file.load().extractors
    assert (first.loads, first.layers, first.tokens) == ("hf:org/net@abc", ("encoder.layer.*",), "cls")
    assert (second.loads, second.layers, second.tokens) == ("seeded_vit", (), "all")
    assert first.root == second.root == file.path.parent.parent


def test_a_network_given_as_the_name_is_refused_with_the_right_key(written):
    with raises(ConfigError, "config.bad-name", line=2, key="extractors.0.name", value="hf:org/net") as caught:
        written("extractors:\n  - name: hf:org/net\n").load()
    assert "network: 'hf:org/net'" in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("tokens: some", "unknown-value"),
        ("layers: ['']", "empty-value"),
        ("network: ''", "empty-value"),
        ("layers: encoder", "wrong-type"),
        ("layers: []", "no-layers"),
    ],
)
def test_what_cannot_be_a_network_is_refused_with_its_line(refused, entry, code):
    found, facts = refused(f"extractors:\n  - name: a\n    {entry}\n")
    assert (found, facts["line"]) == (f"config.{code}", 3)
    assert facts["key"].startswith("extractors.0.")


def test_views_are_extractors_that_follow_theirs(written):
    file = written(
        "extractors:\n"
        "  - {name: a, network: seeded_cnn, views: [projected, whitened16, spatial4], ranges: r.json, batch_size: 4}\n"
        "  - {name: seeded_vit}\n"
    )
    extractors = file.load().extractors
    assert [extractor.name for extractor in extractors] == [
        "a", "a.projected", "a.whitened16", "a.spatial4", "seeded_vit",
    ]  # fmt: skip
    assert [extractor.view for extractor in extractors] == [
        None, View("projected", 64), View("whitened", 16), View("spatial", 4), None,
    ]  # fmt: skip
    assert {extractor.loads for extractor in extractors[:4]} == {"seeded_cnn"}
    assert {extractor.batch_size for extractor in extractors[:4]} == {4}
    assert {extractor.root for extractor in extractors} == {file.root}
    # A file has the ranges of the network's own neurons only.
    assert [extractor.ranges for extractor in extractors[:4]] == ["r.json", None, None, None]


@pytest.mark.parametrize(
    ("views", "code", "expected"),
    [
        ("[proj]", "unknown-view", {"view": "proj", "known": ["projected", "whitened", "spatial"]}),
        ("[spatial, spatial2]", "duplicate-view", {"view": "spatial2", "first": "spatial"}),
        ("[spatial, spatial]", "duplicate-view", {"view": "spatial", "first": "spatial"}),
        ("[spatial1]", "view-out-of-range", {"view": "spatial1", "low": 2, "high": 16}),
        ("[projected9999]", "view-out-of-range", {"low": 1, "high": 4096}),
        ("[whitened.3]", "unknown-view", {"view": "whitened.3"}),
        ("projected", "wrong-type", {"expected": LIST, "value": "projected"}),
    ],
)
def test_wrong_views_are_refused_with_their_line(refused, views, code, expected):
    found, facts = refused(f"extractors:\n  - name: seeded_cnn\n    views: {views}\n")
    assert found == f"config.{code}"
    assert holds(facts, {"line": 3, "key": "extractors.0.views", **expected})


def test_names_that_a_view_has_are_taken(refused):
    views = "extractors:\n  - {name: a, network: seeded_cnn, views: [whitened]}\n"
    code, facts = refused(views + "  - {name: A.whitened, network: seeded_cnn}\n")
    assert code == "config.name-taken"
    assert holds(facts, {"line": 3, "name": "A.whitened", "first_line": 2, "is_view": True})
    code, facts = refused(views + "  - {name: a_whitened, network: seeded_cnn}\n")
    assert code == "config.names-too-similar"
    assert holds(facts, {"line": 3, "names": ["a.whitened", "a_whitened"]})
    long = "a" * 95
    code, facts = refused(f"extractors:\n  - {{name: {long}, network: seeded_cnn, views: [projected]}}\n")
    assert (code, facts["name"]) == ("config.view-name-too-long", f"{long}.projected")
