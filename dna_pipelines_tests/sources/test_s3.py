"""An S3 server that is really there: listing, changes, throttling, vanishing keys, missing credentials."""

import subprocess
import sys
import uuid
from urllib.request import urlopen

import pytest

import dna_pipelines.cli.main  # noqa: F401 (its import registers the commands)
from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import SourceChanged, SourceError
from dna_pipelines.manifests import build_manifest, scan_source
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests.cli.conftest import invoke
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.sources import s3_server
from dna_pipelines_tests.toy import image_bytes, toy_project

s3fs = pytest.importorskip("s3fs")

SECRETS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="session")
def server():
    """Where a server listens, for the whole session."""
    process = subprocess.Popen([sys.executable, "-m", s3_server.__name__], stdout=subprocess.PIPE, text=True)
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def _surroundings(monkeypatch, tmp_path):
    """Credentials in the environment and nowhere else."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # botocore would repeat as well, after pauses that are drawn at random and longer.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture
def store(server, _surroundings):
    """A bucket of the test's own."""
    return Store(server)


class Store:
    """A bucket: its URI, how to reach it, how to write to it, and how to control its server."""

    def __init__(self, server):
        self.server = server
        self.bucket = f"bucket-{uuid.uuid4().hex}"
        self.uri = f"s3://{self.bucket}"
        self.options = {"endpoint_url": server}
        self.fs = s3fs.S3FileSystem(**self.options)
        self.fs.mkdir(self.bucket)

    def write(self, files):
        self.fs.pipe({f"{self.bucket}/{name}": data for name, data in files.items()})

    def ask(self, question):
        with urlopen(f"{self.server}/{question}") as answer:
            return answer.read()


@pytest.fixture
def at(store, source):
    """The source for a key below the bucket."""
    return lambda key, **settings: source(f"{store.uri}/{key}", options=store.options, **settings)


def test_objects_are_listed_and_read(store, at):
    store.write({"im/a.png": b"1", "im/deep/b.jpg": b"22", "im/notes.txt": b"-", "im2/c.png": b"3"})
    opened = at("im")
    listing = opened.list()
    assert [(entry.path, entry.size_bytes) for entry in listing.entries] == [(b"a.png", 1), (b"deep/b.jpg", 2)]
    assert listing.n_ignored == 1
    assert opened.read(b"deep/b.jpg") == b"22"


def test_two_slashes_are_one(store, at):
    store.write({"im/deep/a.png": b"1"})
    for key in ("/im", "im//", "im//deep"):
        opened = at(key)
        (entry,) = opened.list().entries
        assert opened.read(entry.path) == b"1"


@pytest.mark.parametrize("root", ["pre fix", "pre fix/", ""])
def test_two_slashes_in_a_key_are_not_one(store, at, root):
    keys = {f"{root.rstrip('/')}/{name}".lstrip("/"): name.encode() for name in ("a.png", "deep//a.png", "deep/a.png")}
    keys[f"{root.rstrip('/')}//a.png" if root else "/a.png"] = b"/a.png"
    store.write(keys)
    opened = at(root)
    entries = opened.list().entries
    assert [entry.path for entry in entries] == sorted(keys.values())
    assert [opened.read(entry.path) for entry in entries] == sorted(keys.values())


def test_two_slashes_on_a_line_of_an_index_are_not_one(store, at):
    lines = f"deep//a.png\ndeep/a.png\n{store.uri}/deep//a.png\n"
    store.write({"deep/a.png": b"one", "deep//a.png": b"two", "index.txt": lines.encode()})
    opened = at("index.txt")
    assert [opened.read(entry.path) for entry in opened.list().entries] == [b"two", b"one", b"two"]


def test_archives_whose_keys_differ_by_a_slash_are_two(store, at, tar_bytes, png):
    store.write({"t/a.tar": tar_bytes({"x.png": png(1)}), "t//a.tar": tar_bytes({"x.png": png(2)})})
    opened = at("t", kind="tar")
    entries = opened.list().entries
    assert [entry.path for entry in entries] == [b"/a.tar/x.png", b"a.tar/x.png"]
    assert [opened.read(entry.path) for entry in entries] == [png(2), png(1)]


def test_a_change_between_two_scans_of_one_process_is_seen(store, at):
    store.write({"im/a.png": b"one", "im/b.png": b"one"})
    before = {entry.path: entry.signature for entry in at("im").list().entries}
    assert {entry.path: entry.signature for entry in at("im").list().entries} == before
    store.write({"im/a.png": b"two", "im/c.png": b"new"})
    after = {entry.path: entry.signature for entry in at("im").list().entries}
    assert after[b"a.png"] != before[b"a.png"]
    assert after[b"b.png"] == before[b"b.png"]
    assert b"c.png" in after


def test_a_version_of_an_object_is_read_as_it_was(store, at, tar_bytes, source):
    store.fs.call_s3("put_bucket_versioning", Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = []
    for data in (b"one", b"two", b"three"):
        answer = store.fs.call_s3("put_object", Bucket=store.bucket, Key="a.tar", Body=tar_bytes({"a.png": data}))
        versions.append(answer["VersionId"])
    read = {}
    for version in versions[:2]:
        opened = at(f"a.tar?versionId={version}")
        (entry,) = opened.list().entries
        read[entry.signature] = opened.read(entry.path)
    assert list(read.values()) == [b"one", b"two"]
    store.write({"index.txt": "".join(f"{store.uri}/a.tar?versionId={version}\n" for version in versions).encode()})
    opened = at("index.txt")
    entries = {entry.path: opened.read(entry.path) for entry in opened.list().entries}
    assert [
        data.count(b"one") for data in (entries[f"{store.uri}/a.tar?versionId={v}".encode()] for v in versions)
    ] == [1, 0, 0]


def test_an_index_sees_changes_too(store, at):
    store.write({"a.png": b"one", "index.txt": f"a.png\n{store.uri}/a.png\ngone.png\n".encode()})
    before = at("index.txt").list().entries
    assert [entry.problem is None for entry in before] == [True, False, True]
    store.write({"a.png": b"two"})
    after = at("index.txt").list().entries
    assert [old.signature != new.signature for old, new in zip(before, after, strict=True)] == [True, False, True]
    assert at("index.txt").read(f"{store.uri}/a.png".encode()) == b"two"


def test_a_busy_store_is_asked_again(store, at):
    # s3fs before 2026.9 leaves that to botocore.
    store.options["config_kwargs"] = {"retries": {"total_max_attempts": 3}}
    store.write({"im/a.png": b"1"})
    opened = at("im")
    store.ask("_busy?n=2")
    assert len(opened.list().entries) == 1
    store.ask("_busy?n=2")
    assert opened.read(b"a.png") == b"1"


def test_a_store_that_stays_busy_is_an_error_and_quarantines_nothing(store, at, png, monkeypatch):
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)
    store.write({"im/a.png": png(1)})
    opened, config = at("im"), DatasetConfig(name="d", uri="s3://somewhere")
    scan = scan_source(opened, config, lambda: None, 0)
    store.ask("_busy?n=1000")
    try:
        with raises(SourceError, "source.read-failed", path="a.png"):
            build_manifest(scan, opened, config)
    finally:
        store.ask("_busy?n=0")


def test_a_key_that_vanishes_between_listing_and_reading_is_quarantined(store, at, png):
    store.write({f"im/{number}.png": png(number) for number in range(3)})
    opened, config = at("im"), DatasetConfig(name="d", uri="s3://somewhere")
    scan = scan_source(opened, config, lambda: None, 0)
    store.fs.rm(f"{store.bucket}/im/1.png")
    manifest = build_manifest(scan, opened, config)
    assert [(row.name, row.reason) for row in manifest.quarantined] == [("1.png", "vanished")]
    assert [row.name for row in manifest.readable] == ["0.png", "2.png"]


def test_missing_credentials_are_an_error(store, at, monkeypatch):
    for name in SECRETS:
        monkeypatch.delenv(name)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        for key in ("im", "index.txt", "shards.tar", "t.parquet", "shards-{0..3}.tar", "a.zip"):
            with raises(SourceError, "source.credentials"):
                at(key).list()
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("uri", ["s3://no-such-bucket-here/im", "s3://no-such-bucket-here/im/*.tar"])
def test_a_bucket_that_is_not_there_is_an_error(store, source, uri):
    with pytest.raises(SourceError) as caught:
        source(uri, options=store.options).list()
    assert caught.value.code in {"source.missing", "source.no-files"}
    assert caught.value.facts["uri"] == uri


def test_a_store_that_cannot_be_reached_is_an_error(store, source):
    with raises(SourceError, "source.unreachable", uri=f"{store.uri}/im"):
        source(f"{store.uri}/im", options={"endpoint_url": "http://127.0.0.1:9"}).list()


@pytest.mark.parametrize("trouble", ["away", "no credentials"])
def test_an_index_of_keys_that_cannot_be_asked_for_loses_none(store, source, tmp_path, monkeypatch, trouble):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9" if trouble == "away" else store.server)
    for name in SECRETS if trouble == "no credentials" else ():
        monkeypatch.delenv(name)
    (tmp_path / "index.txt").write_text(f"{store.uri}/a.png\n")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        code = "source.unreachable" if trouble == "away" else "source.credentials"
        with raises(SourceError, code, path=f"{store.uri}/a.png"):
            source("index.txt").list()
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


def test_braces_are_shown_as_they_were_written(store, source):
    with raises(SourceError, "source.unreachable", uri=f"{store.uri}/t-{{0..1}}.tar") as caught:
        source(f"{store.uri}/t-{{0..1}}.tar", options={"endpoint_url": "http://127.0.0.1:9"}).list()
    assert str(caught.value).count("t-{0..1}.tar") == 2
    assert "%7B" not in str(caught.value)


def test_the_endpoint_may_come_from_the_environment(store, source, monkeypatch):
    store.write({"im/a.png": b"1"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.server)
    opened = source(f"{store.uri}/im")
    assert [opened.read(entry.path) for entry in opened.list().entries] == [b"1"]
    s3fs.S3FileSystem.clear_instance_cache()


def test_an_option_that_the_store_does_not_know_is_an_error(store, source):
    with raises(SourceError, "source.unreachable", error="TypeError") as caught:
        source(f"{store.uri}/im", options={**store.options, "nonsense": 1}).list()
    assert "nonsense" in str(caught.value)


def test_shards_are_read_by_their_offsets(store, at, tar_bytes, png):
    members = {f"{number}.png": png(number) for number in range(4)}
    store.write({f"t/part-{shard}.tar": tar_bytes(members) for shard in range(2)})
    opened = at("t/part-*.tar")
    entries = opened.list().entries
    assert [entry.path.decode() for entry in entries] == [f"part-{s}.tar/{n}" for s in range(2) for n in members]
    store.ask("_asked")
    assert opened.read(b"part-1.tar/3.png") == members["3.png"]
    assert store.ask("_asked") == b"1"


def test_a_table_far_away_is_read(store, at, parquet_bytes, png):
    images = [png(number) for number in range(6)]
    store.write({"t/a.parquet": parquet_bytes(images)})
    opened = at("t/*.parquet")
    assert [opened.read(entry.path) for entry in opened.list().entries] == images


@pytest.fixture
def project(store, tmp_path):
    """A project with one dataset in the bucket."""
    store.write({f"im/{number}.png": image_bytes(number) for number in range(12)})
    project = toy_project(tmp_path, {})
    entry = f"  - name: far\n    uri: {store.uri}/im\n    storage_options: {{endpoint_url: '{store.server}'}}\n"
    project.file.path.write_text(project.file.path.read_text() + entry)
    return project


def test_a_key_that_vanishes_before_extraction_is_noticed(store, project):
    dataset, extractor = project.file.dataset("far"), project.config().extractors[0]
    refresh(project, dataset)
    ensure_ranges(project, extractor)
    store.fs.rm(f"{store.bucket}/im/7.png")
    with pytest.raises(SourceChanged):
        fit(project, dataset, extractor)
    refresh(project, dataset)
    assert fit(project, dataset, extractor).work.n_images_extracted == 11


def test_a_dataset_in_a_bucket_is_run(store, project):
    (done,) = invoke("--root", project.root, "run", "--json").json["datasets"]
    assert (done["n_images"], done["fingerprints"]["toy"]["n_images_extracted"]) == (12, 12)
    assert store.server not in project.lake.layout.registry.read_text()
    store.write({"im/new.png": image_bytes(99)})
    (seen,) = invoke("--root", project.root, "scan", "--json").json
    assert seen["added"] == ["new.png"]


@pytest.mark.parametrize("n_keys", [2500, pytest.param(10_000, marks=pytest.mark.campaign)])
def test_many_keys_are_listed_page_by_page(store, at, n_keys):
    store.ask(f"_fill?bucket={store.bucket}&n={n_keys}")
    store.ask("_asked")
    assert len({entry.path for entry in at("many").list().entries}) == n_keys
    assert n_keys / 1000 <= int(store.ask("_asked")) <= n_keys / 1000 + 3
