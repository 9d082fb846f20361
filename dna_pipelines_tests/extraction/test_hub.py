"""Networks of the Hugging Face hub, from its cache and without a connection."""

import sys
import time

import huggingface_hub
import pytest

from dna_pipelines.config import ExtractorConfig
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.files.change_token import extractor_change_token
from dna_pipelines.extraction.files.hub import Repository
from dna_pipelines.extraction.loading.registry import find_network, load_extractor
from dna_pipelines_tests.extraction.families import write_family
from dna_pipelines_tests.raising import raises

COMMIT = "0123456789abcdef0123456789abcdef01234567"

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache, empty, and no connection."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    def refused(*_, **__):
        raise ConnectionError("no connection in tests")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refused)
    return tmp_path / "hub"


def put(cache, commit=COMMIT, family="dinov2", seed=0, branch="main"):
    """A repository as the hub's client keeps it."""
    folder = cache / "models--org--net"
    write_family(folder / "snapshots" / commit, family, seed)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / branch).write_text(commit)
    return folder / "snapshots" / commit


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}", "@v1.0"])
def test_a_cached_repository_is_loaded_without_a_connection(tmp_path, cache, revision):
    put(cache, branch="v1.0" if "v1" in revision else "main")
    network = find_network(f"hf:org/net{revision}", tmp_path)
    assert network.origin == f"hf:org/net@{COMMIT}"
    assert network.licence == "unknown: see its model card (https://huggingface.co/org/net)"


def test_a_repository_and_a_copy_of_its_files_can_be_compared(tmp_path, cache):
    (tmp_path / "copy").symlink_to(put(cache))
    one = load_extractor("hf:org/net", batch_size=4, root=tmp_path)
    other = load_extractor("local:copy", batch_size=4, root=tmp_path)
    assert one.fingerprint == other.fingerprint


def test_a_branch_that_moved_is_another_network_and_a_pinned_one_stays(tmp_path, cache):
    put(cache, seed=0)

    def seen():
        configs = [
            ExtractorConfig.model_validate({"name": "x", "network": f"hf:org/net{pin}"}, context={"root": tmp_path})
            for pin in ("", f"@{COMMIT}")
        ]
        loaded = [load_extractor(config.loads, batch_size=4, root=tmp_path).fingerprint for config in configs]
        return [extractor_change_token(config) for config in configs], loaded

    before = seen()
    put(cache, commit="f" * 40, seed=1)
    after = seen()
    for kind in (0, 1):
        assert after[kind][0] != before[kind][0]
        assert after[kind][1] == before[kind][1]


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors", None])
def test_a_repository_that_is_not_in_the_cache_is_an_error_with_what_to_do(tmp_path, cache, lacking):
    if lacking:
        (put(cache) / lacking).unlink()
    started = time.monotonic()
    revision = "v2" if lacking is None else "main"
    folder = str(cache / "models--org--net")
    with raises(
        ExtractorError,
        "network.hub-unavailable",
        repo="org/net",
        revision=revision,
        cache=folder,
        error="ConnectionError",
    ) as caught:
        find_network("hf:org/net@v2" if lacking is None else "hf:org/net", tmp_path)
    assert time.monotonic() - started < 5
    for needed in (f"hf download org/net --revision {revision}", folder, "local:FOLDER"):
        assert needed in str(caught.value)


def test_a_repository_of_pickles_is_refused(tmp_path, cache, monkeypatch):
    folder = put(cache)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    with raises(ExtractorError, "network.unsafe-file", repo="org/net", revision="main"):
        find_network("hf:org/net", tmp_path)


def test_only_weights_that_are_data_are_asked_for(tmp_path, cache, monkeypatch):
    folder, asked = put(tmp_path / "elsewhere"), {}
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **how: asked.update(how) or str(folder))
    assert Repository("org/net", "abc").folder().path == folder
    assert asked["revision"] == "abc"
    assert asked["cache_dir"] == cache
    assert all(pattern.endswith((".json", ".safetensors", ".md")) for pattern in asked["allow_patterns"])


@pytest.mark.parametrize("location", ["", "net", "a/b/c", "org/net@", "org/net@a b", "../x/y"])
def test_what_is_not_a_repository_is_refused(tmp_path, cache, location):
    with raises(ExtractorError, "network.location", location=f"hf:{location}"):
        find_network(f"hf:{location}", tmp_path)


def test_without_the_client_the_error_has_the_extra(tmp_path, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with raises(ExtractorError, "network.extra-missing", extra="hf"):
        find_network("hf:org/net", tmp_path)
