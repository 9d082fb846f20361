"""Credentials in URIs are in the datasets file alone, and change no identity."""

import pytest

from dna_pipelines.config import DatasetConfig
from dna_pipelines.credentials import options_without_credentials, without_credentials
from dna_pipelines.errors import SourceError
from dna_pipelines.identity import stable_hash
from dna_pipelines.project.resolve import location_id

SIGNED = "https://host/a.zip?X-Amz-Date=1&X-Amz-Signature=abc&part=2"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://ann:se@cret@host/x", "https://***@host/x"),
        ("ftp://ann:secret@host", "ftp://***@host"),
        ("https://TOKEN@host/x", "https://***@host/x"),
        ("https://host/x?sig=a%2Fb&se=2026&x=1", "https://host/x?sig=***&se=***&x=1"),
        (SIGNED, "https://host/a.zip?X-Amz-Date=***&X-Amz-Signature=***&part=2"),
        ("https://host/x?access_token=a", "https://host/x?access_token=***"),
        ("2 files: https://u:p@h/x and https://h/?token=t", "2 files: https://***@h/x and https://h/?token=***"),
    ],
)
def test_credentials_are_masked_and_nothing_else(text, masked):
    assert without_credentials(text) == masked
    assert without_credentials(masked) == masked


@pytest.mark.parametrize(
    "uri",
    [
        "images/a@b:c",
        "s3://bucket/a@b:c/?version=3",
        "sftp://ann@host/x",
        "http://host:8080/x@y?page=2",
        "https://host/x?se=1&sp=2",
        "file:///a:b@c",
        "https://host/x?design=1&keys=2",
    ],
)
def test_other_uris_stay_as_they_are(uri):
    assert without_credentials(uri) == uri
    dataset = DatasetConfig(name="a", uri=uri)
    # The identity of locations in lakes that exist.
    assert location_id(dataset) == stable_hash(
        dataset.model_dump(mode="json", include={"uri", "kind", "image_column", "storage_options"})
    )


def test_a_location_that_is_signed_again_is_the_same():
    first, second = (DatasetConfig(name="a", uri=SIGNED.replace("abc", sign)) for sign in ("abc", "xyz"))
    assert location_id(first) == location_id(second)
    assert location_id(first) != location_id(DatasetConfig(name="a", uri=SIGNED.replace("part=2", "part=3")))


def test_errors_show_no_credentials():
    error = SourceError(f"{SIGNED} is away", code="source.missing", uri=SIGNED, n=1)
    assert "abc" not in str(error)
    assert error.facts == {"uri": without_credentials(SIGNED), "n": 1}


SECRET = {
    "key": "K1",
    "secret": "S1",
    "client_kwargs": {"aws_session_token": "T1", "region_name": "eu"},
    "headers": {"Authorization": "Bearer B1", "Accept": "image/*"},
    "proxies": ["http://ann:P1@proxy"],
}
PLAIN = {"endpoint_url": "https://minio:9000", "anon": True, "timeout": 3, "monkey": 1, "use_ssl": False}


def test_secrets_of_options_are_masked_and_nothing_else():
    masked = str(options_without_credentials({**SECRET, **PLAIN}))
    assert not any(secret in masked for secret in ("K1", "S1", "T1", "B1", "P1"))
    assert "region_name" in masked
    assert options_without_credentials(PLAIN) == PLAIN


def test_a_location_keeps_its_identity_when_its_secrets_change():
    first, second, other = (
        DatasetConfig(name="a", uri="s3://b/x", storage_options=options)
        for options in (SECRET | PLAIN, {**SECRET, "secret": "S2"} | PLAIN, SECRET | {"endpoint_url": "https://aws"})
    )
    assert location_id(first) == location_id(second)
    assert location_id(first) != location_id(other)
