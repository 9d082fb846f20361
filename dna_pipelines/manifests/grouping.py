"""How the images of a dataset are grouped into sampling units."""

from __future__ import annotations

import time
from collections.abc import Callable

import regex

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import SourceError
from dna_pipelines.manifests.manifest import ImageRow

_PATIENCE_S = 5.0
"""Seconds that a pattern may take beyond its share."""
_SHARE_S = 1e-3
"""Seconds of each name; a common pattern takes a hundredth of it."""


def grouping(config: DatasetConfig) -> Callable[[ImageRow], str | None]:
    """How the rows of a dataset are grouped into sampling units.

    The function raises a SourceError (`source.slow-pattern`) when a regular expression takes too long.
    """
    kind, _, argument = (config.group_by or "").partition(":")
    if kind == "folder":
        return lambda row: row.name.rpartition("/")[0]
    if kind == "column":
        return lambda row: (row.metadata or {}).get(argument)
    if kind == "regex":
        return _Pattern(argument)
    # The pages of one file are not independent of each other, whatever it is called.
    return lambda row: f"file {(row.of_file or '')[:16]}" if row.page else None


class _Pattern:
    """The first group of a regular expression, which may take a bounded time for all rows together."""

    def __init__(self, pattern: str) -> None:
        self._pattern = regex.compile(pattern)
        self._left_s = _PATIENCE_S

    def __call__(self, row: ImageRow) -> str | None:
        start_s = time.monotonic()
        try:
            match = self._pattern.search(row.name, timeout=self._left_s)
        except TimeoutError as error:
            raise SourceError(
                f"`group_by: regex:{self._pattern.pattern}` takes too long, such as for {row.name}; write it without "
                "repetitions inside repetitions, as in `(a+)+`",
                code="source.slow-pattern",
                pattern=self._pattern.pattern,
                path=row.name,
            ) from error
        self._left_s = min(max(self._left_s - (time.monotonic() - start_s), 0) + _SHARE_S, _PATIENCE_S)
        return match[1] if match else None
