"""A source that raises what `Source` promises and nothing else, whatever the client of a store raises."""

from __future__ import annotations

from dna_pipelines.errors import Unreadable
from dna_pipelines.sources.base import Listing, Source
from dna_pipelines.sources.failures import only_own_errors


class GuardedSource:
    """Another source, whose unforeseen exceptions become errors of its location."""

    def __init__(self, source: Source, uri: str) -> None:
        self._source = source
        self._uri = uri

    def list(self) -> Listing:
        """The files of the source."""
        with only_own_errors(self._uri):
            return self._source.list()

    def read(self, path: bytes) -> bytes:
        """The bytes of one file of the source."""
        try:
            with only_own_errors(self._uri, OSError, MemoryError):
                return self._source.read(path)
        except MemoryError as error:
            raise Unreadable("too large", "this machine has not enough memory to read it") from error
