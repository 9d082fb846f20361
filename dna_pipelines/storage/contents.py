"""The listings of archives and tables of images, so that an unchanged one is not read again."""

from __future__ import annotations

from dna_pipelines.identity import stable_hash
from dna_pipelines.storage.checksums import ChecksumMismatch, bytes_with_checksum, verified_bytes
from dna_pipelines.storage.files import if_writable, replace
from dna_pipelines.storage.layout import Layout


class StoredContents:
    """One file for each location; nothing is stored before the lake exists."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def get(self, location: str) -> bytes | None:
        """The last listing of a location; None if none is stored, or it is damaged."""
        try:
            return verified_bytes(self._layout.contents(stable_hash(location)).read_bytes())
        except (OSError, ChecksumMismatch):
            return None

    def put(self, location: str, data: bytes) -> None:
        """Store the listing of a location, in place of an earlier one."""
        if self._layout.marker.exists():
            path = self._layout.contents(stable_hash(location))
            if_writable(lambda: replace(path, bytes_with_checksum(data)))
