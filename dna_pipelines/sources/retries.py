"""Requests to a store, repeated when the connection breaks or the store is busy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import fsspec

from dna_pipelines.errors import DnaError
from dna_pipelines.sources.failures import describe

T = TypeVar("T")

_PAUSES_S = (0.5, 2.0)
"""Seconds to wait before each retry."""
_PATIENCE_S = 45.0
"""A server that timed out after this long is not asked again."""
_RETRYING_CLIENTS = frozenset({"s3", "s3a", "gs", "gcs"})
"""The clients of these schemes retry by themselves, and for longer; what they raise is final."""
_BUSY = frozenset({408, 429})


def with_retries(fs: fsspec.AbstractFileSystem, request: Callable[[], T]) -> T:
    """The result of a request to a store; a request that fails for a passing reason is repeated.

    Raises:
        Exception: whatever the client of the store raises in the end.
    """
    pauses = () if _RETRYING_CLIENTS.intersection(_protocols(fs)) else _PAUSES_S
    start_s = time.monotonic()
    for pause_s in pauses:
        try:
            return request()
        except Exception as error:
            waited = isinstance(error, TimeoutError) and time.monotonic() - start_s > _PATIENCE_S
            if waited or not _may_pass(error):
                raise
        time.sleep(pause_s)
    return request()


def read_with_retries(fs: fsspec.AbstractFileSystem, request: Callable[[], T]) -> T:
    """Like `with_retries`, for callers that treat an OSError as a failure of the store.

    Raises:
        OSError: whatever the client raises becomes one. It is a FileNotFoundError only where no file exists.
        MemoryError: when this machine cannot hold the answer.
    """
    try:
        return with_retries(fs, request)
    except Exception as error:
        if isinstance(error, OSError | MemoryError | DnaError):
            raise
        raise OSError(describe(error)) from error


def is_local(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether a file system is this machine's own."""
    return "file" in _protocols(fs)


def _may_pass(error: Exception) -> bool:
    if (status := getattr(error, "status", None)) is not None:
        return isinstance(status, int) and (status in _BUSY or status >= 500)
    return isinstance(error, (ConnectionError, TimeoutError, *_broken_connections()))


def _broken_connections() -> tuple[type[Exception], ...]:
    """The web client's errors for a broken connection; none where the client is not loaded."""
    aiohttp = sys.modules.get("aiohttp")
    return (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) if aiohttp else ()


def _protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
