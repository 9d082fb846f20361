"""For all tests."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("dna", deadline=None)
settings.load_profile("dna")

# Every file of a lake and every event of Dagster is written through to the disk, which can take longer than all else a
# test does. A file system in memory spares that, where there is one that is large enough for the whole suite.
MEMORY, ENOUGH_BYTES = Path("/dev/shm"), 2 << 30
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH_BYTES:
    os.environ["TMPDIR"] = str(MEMORY)  # processes of tests inherit it
    tempfile.tempdir = None

BLANK = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63f80f0001"
    "010100b138f6140000000049454e44ae426082"
)
"""A PNG of one pixel."""


PICTURES = ("matrix_picture", "changes_picture", "growth_picture")


@pytest.fixture(scope="session", autouse=True)
def undrawn():
    """Runs draw no pictures, which take half of the time of a small run; returns the functions that draw them."""
    from dna_pipelines.reporting import pictures

    draw = {name: getattr(pictures, name) for name in PICTURES}
    with pytest.MonkeyPatch.context() as patch:
        for name in PICTURES:
            patch.setattr(pictures, name, lambda *_: BLANK)
        yield draw


@pytest.fixture
def drawn(undrawn, monkeypatch):
    """The runs of a test draw their pictures."""
    for name, draw in undrawn.items():
        monkeypatch.setattr(f"dna_pipelines.reporting.pictures.{name}", draw)
