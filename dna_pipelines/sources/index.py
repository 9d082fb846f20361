"""An index file: one path or URI per line; blank lines and lines beginning with # are skipped."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import fsspec

from dna_pipelines.credentials import MASK, without_credentials
from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import Entry, Listing, Selection
from dna_pipelines.sources.failures import source_error
from dna_pipelines.sources.names import without_leading_dot
from dna_pipelines.sources.remote import Options, entry_of, file_system_of, info_of, read_object
from dna_pipelines.sources.retries import is_local

_WRONG_LINE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError)
"""The exceptions that one line causes, such as an impossible name; any other is a failure of the store."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class IndexSource:
    """The files that an index names, relative to the index. A file that is missing is listed with its problem.

    A line is the name as it is: there is no quoting; surrounding blanks and a leading `./` do not count. Credentials in
    an address are no part of its name: the file keeps its name when the address is signed again.
    The options apply to the store of the index and to URIs of the same scheme; other stores take their settings from
    the environment. Local files need none, so that the options of a local index apply to all its URIs.
    """

    def __init__(self, uri: str, selection: Selection, options: Options | None = None) -> None:
        self._uri = uri
        self._selection = selection
        self._options = options or {}
        self._fs, self._path = file_system_of(uri, options)
        self._signed: dict[bytes, str] | None = None
        self._lock = threading.Lock()

    def list(self) -> Listing:
        """Look up every named file."""
        try:
            self._fs.invalidate_cache()
            lines = self._lines()
        except Exception as error:
            raise source_error(f"{self._uri} cannot be read", error, uri=self._uri) from error
        named = self._named(lines)
        chosen = sorted({path for path in named if self._selection.admits(path)})
        for scheme in {os.fsdecode(path).partition("://")[0] for path in chosen if b"://" in path}:
            self._invalidate_cache(scheme)
        with ThreadPoolExecutor(16) as pool:
            entries = list(pool.map(self._entry, chosen))
        ignored = next((path for path in named if not self._selection.admits(path)), None)
        return Listing(entries, len(named) - len(chosen), ignored, tuple(_on_repeated(named, self._uri)))

    def read(self, path: bytes) -> bytes:
        """Read one of the named files."""
        if MASK.encode() in path:
            with self._lock:
                if self._signed is None:
                    self._named(self._lines())
        fs, full = self._resolve(path)
        return read_object(fs, full)

    def _lines(self) -> Sequence[bytes]:
        return read_object(self._fs, self._path).removeprefix(_BYTE_ORDER_MARK).splitlines()

    def _named(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """The name of each line; that of an address with credentials is without them."""
        stripped = (line.strip() for line in lines)
        named, signed = [], {}
        for line in (without_leading_dot(line) for line in stripped if line and not line.startswith(b"#")):
            name = line
            if b"://" in line:
                name = os.fsencode(without_credentials(os.fsdecode(line)))
            if name != line:
                signed[name] = os.fsdecode(line)
            named.append(name)
        self._signed = signed
        return named

    def _resolve(self, path: bytes) -> tuple[fsspec.AbstractFileSystem, str]:
        text = (self._signed or {}).get(path) or os.fsdecode(path)
        if "://" in text:
            scheme, _, below = self._uri.partition("://")
            applies = not below or text.startswith(f"{scheme}://")
            return file_system_of(text, self._options if applies else None)
        if text.startswith("/"):
            if "://" in self._uri:
                raise SourceError(
                    f"{self._uri} is not on this machine, so write file://{text} for a local file",
                    code="source.local-path-in-remote-index",
                    uri=self._uri,
                    path=text,
                )
            return self._fs, text
        return self._fs, f"{self._path.rsplit('/', 1)[0]}/{text}"

    def _invalidate_cache(self, scheme: str) -> None:
        """Drop the listings that fsspec caches, which would hide changes."""
        try:
            self._resolve(f"{scheme}://".encode())[0].invalidate_cache()
        except SourceError:
            return  # reported for each of its lines

    def _entry(self, path: bytes) -> Entry:
        try:
            fs, full = self._resolve(path)
        except SourceError as error:
            # A package that is not installed, a wrong option and a store that fails are not the fault of the line.
            if not isinstance(error.__cause__, ValueError | None):
                raise
            return _missing(path, str(error))
        try:
            info = info_of(fs, full)
        except Exception as error:
            # An image counts as missing only if its store says so: not if the store fails or refuses to answer.
            if not (isinstance(error, _WRONG_LINE) or is_local(fs)):
                name = path.decode("utf-8", "backslashreplace")
                raise source_error(
                    f"{self._uri} names {name}, which cannot be looked up", error, uri=self._uri, path=name
                ) from error
            return _missing(path, f"{type(error).__name__}: {error}")
        return entry_of(path, info)


def _missing(path: bytes, reason: str) -> Entry:
    return Entry(path, 0, "missing", problem=without_credentials(f"named in the index, but {reason}"))


def _on_repeated(named: Sequence[bytes], uri: str) -> Iterator[str]:
    """That lines name a file again, and which; a file counts once."""
    n_repeated = len(named) - len(set(named))
    if n_repeated:
        example = next(name for name, count in Counter(named).items() if count > 1).decode("utf-8", "backslashreplace")
        yield f"{n_repeated:,} lines of {uri} name a file again, such as {example}; a file counts once"
