"""An index file: one path or URI a line; blank lines and lines beginning with # are skipped."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import fsspec

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import Entry, Listing, Selection
from dna_pipelines.sources.remote import file_system_of, read_object, signature_of


class IndexSource:
    """The files an index names, relative to the index. What is named and missing is reported, not skipped."""

    def __init__(self, uri: str, selection: Selection) -> None:
        self._uri = uri
        self._selection = selection
        try:
            self._fs, self._path = file_system_of(uri)
        except (ValueError, ImportError) as error:
            raise SourceError(f"{uri}: {error}") from error

    def list(self) -> Listing:
        """Look up every named file."""
        try:
            lines = self._fs.cat_file(self._path).splitlines()
        except Exception as error:
            raise SourceError(f"{self._uri} cannot be read: {type(error).__name__}: {error}") from error
        named = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith(b"#")]
        chosen = sorted({path for path in named if not self._selection.globs or self._selection(path)})
        with ThreadPoolExecutor(16) as pool:
            entries = list(pool.map(self._entry, chosen))
        return Listing(entries, len(set(named)) - len(chosen))

    def read(self, path: bytes) -> bytes:
        """Read one of the named files."""
        fs, full = self._resolve(path)
        return read_object(fs, full)

    def _resolve(self, path: bytes) -> tuple[fsspec.AbstractFileSystem, str]:
        text = os.fsdecode(path)
        if "://" in text:
            return file_system_of(text)
        if text.startswith("/"):
            return self._fs, text
        return self._fs, f"{self._path.rsplit('/', 1)[0]}/{text}"

    def _entry(self, path: bytes) -> Entry:
        try:
            fs, full = self._resolve(path)
            info = fs.info(full)
        except Exception as error:  # noqa: BLE001 (any back end may refuse one line; the line is reported)
            return Entry(path, 0, "missing", problem=f"named in the index, but {type(error).__name__}: {error}")
        time = info.get("mtime")
        modified_ns = int(time * 1e9) if isinstance(time, float) else None
        return Entry(path, int(info.get("size") or 0), signature_of(info), modified_ns)
