"""Records are read again only when their file changed: a daemon asks for thousands of them at every tick."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from dna_pipelines.errors import LakeError
from dna_pipelines.storage.records import Record

R = TypeVar("R", bound=Record)


class RecordCache:
    """Keeps what was read, by path and state of the file (records are replaced as whole files)."""

    def __init__(self) -> None:
        self._kept: dict[Path, tuple[tuple[int, int, int], Any]] = {}

    def read(self, kind: type[R], path: Path) -> R | None:
        """The record in a file; None if there is no file, or a damaged one of a kind that can be made again.

        Raises:
            LakeError: when it is damaged, and something is lost with it.
        """
        try:
            status = path.stat()
        except FileNotFoundError:
            self._kept.pop(path, None)
            return None
        state = (status.st_mtime_ns, status.st_ino, status.st_size)
        kept = self._kept.get(path)
        if kept is None or kept[0] != state:
            try:
                kept = self._kept[path] = (state, kind.read(path))
            except FileNotFoundError:
                return None
            except LakeError:
                if kind.lost:
                    raise
                return None
        record: R = kept[1]
        return record
