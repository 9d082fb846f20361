"""An index file: one path or URI a line; blank lines and lines beginning with # are skipped."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import fsspec

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.asking import cannot, is_local
from dna_pipelines.sources.base import Entry, Listing, Selection, bare
from dna_pipelines.sources.remote import Options, entry_of, file_system_of, info_of, read_object

_OF_THE_LINE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError)
"""What is wrong with one line, such as a name that no store could have; all else is wrong with the store."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class IndexSource:
    """The files an index names, relative to the index. What is named and missing is reported, not skipped.

    A line is a name as it is: there is no quoting, only the blanks around it and a leading `./` do not count.
    The options are for the store that the index lies on, and for URIs of the same scheme; what lies elsewhere
    takes its settings from the environment. This machine needs none, so those of an index here are for its URIs.
    """

    def __init__(self, uri: str, selection: Selection, options: Options | None = None) -> None:
        self._uri = uri
        self._selection = selection
        self._options = options or {}
        self._fs, self._path = file_system_of(uri, options)

    def list(self) -> Listing:
        """Look up every named file."""
        try:
            self._fs.invalidate_cache()
            lines = read_object(self._fs, self._path).removeprefix(_BYTE_ORDER_MARK).splitlines()
        except Exception as error:
            raise cannot(f"{self._uri} cannot be read", error) from error
        stripped = (line.strip() for line in lines)
        named = [bare(line) for line in stripped if line and not line.startswith(b"#")]
        chosen = sorted({path for path in named if self._selection.admits(path)})
        for place in {os.fsdecode(path).partition("://")[0] for path in chosen if b"://" in path}:
            self._forget(place)
        with ThreadPoolExecutor(16) as pool:
            entries = list(pool.map(self._entry, chosen))
        ignored = next((path for path in named if not self._selection.admits(path)), None)
        return Listing(entries, len(named) - len(chosen), ignored)

    def read(self, path: bytes) -> bytes:
        """Read one of the named files."""
        fs, full = self._resolve(path)
        return read_object(fs, full)

    def _resolve(self, path: bytes) -> tuple[fsspec.AbstractFileSystem, str]:
        text = os.fsdecode(path)
        if "://" in text:
            scheme, _, below = self._uri.partition("://")
            meant = not below or text.startswith(f"{scheme}://")
            return file_system_of(text, self._options if meant else None)
        if text.startswith("/"):
            if "://" in self._uri:
                raise SourceError(f"{self._uri} is elsewhere, so write file://{text} for a file of this machine")
            return self._fs, text
        return self._fs, f"{self._path.rsplit('/', 1)[0]}/{text}"

    def _forget(self, scheme: str) -> None:
        """Listings that fsspec remembers would hide changes."""
        try:
            self._resolve(f"{scheme}://".encode())[0].invalidate_cache()
        except SourceError:
            return  # each of its lines will say so

    def _entry(self, path: bytes) -> Entry:
        try:
            fs, full = self._resolve(path)
        except SourceError as error:
            # What this machine lacks, or what the options say, is no matter of the line.
            if isinstance(error.__cause__, (ImportError, TypeError)):
                raise
            return Entry(path, 0, "missing", problem=f"named in the index, but {error}")
        try:
            info = info_of(fs, full)
        except Exception as error:
            # A store that cannot be asked does not say that an image is gone, and one that refuses does not either.
            if not (isinstance(error, _OF_THE_LINE) or is_local(fs)):
                name = path.decode("utf-8", "backslashreplace")
                raise cannot(f"{self._uri} names {name}, which cannot be looked up", error) from error
            return Entry(path, 0, "missing", problem=f"named in the index, but {type(error).__name__}: {error}")
        return entry_of(path, info)
