"""What archives and tables were found to hold, so that an unchanged one is not looked into again."""

from __future__ import annotations

from dna_pipelines.identity import stable_hash
from dna_pipelines.storage.files import replace
from dna_pipelines.storage.layout import Layout


class KeptContents:
    """One file for each place; nothing is kept before there is a lake."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def get(self, place: str) -> bytes | None:
        """What was kept last for a place."""
        try:
            return self._layout.contents(stable_hash(place)).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, place: str, data: bytes) -> None:
        """Keep something for a place instead of what was kept before."""
        if self._layout.marker.exists():
            replace(self._layout.contents(stable_hash(place)), data)
