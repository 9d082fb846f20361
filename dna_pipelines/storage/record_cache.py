"""A cache of records: a daemon reads thousands of them at every tick, and few of their files change."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from dna_pipelines.errors import LakeError
from dna_pipelines.storage.records import Record

R = TypeVar("R", bound=Record)


class RecordCache:
    """Records by path, with the state of their file. Records are only replaced as whole files."""

    def __init__(self) -> None:
        self._cached: dict[Path, tuple[tuple[int, int, int], Any]] = {}

    def read(self, kind: type[R], path: Path) -> R | None:
        """The record in a file; None if the file is missing, or is damaged and a run can write it again.

        Raises:
            LakeError: when it is damaged and a run cannot write it again.
        """
        try:
            status = path.stat()
        except FileNotFoundError:
            self._cached.pop(path, None)
            return None
        state = (status.st_mtime_ns, status.st_ino, status.st_size)
        cached = self._cached.get(path)
        if cached is None or cached[0] != state:
            try:
                cached = self._cached[path] = (state, kind.read(path))
            except FileNotFoundError:
                return None
            except LakeError:
                if kind.repair:
                    raise
                return None
        record: R = cached[1]
        return record
