"""Asking a store: what is asked again, and what a failure means in the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import fsspec

from dna_pipelines.errors import SourceError

T = TypeVar("T")

_PAUSES_S = (0.5, 2.0)
"""How long to wait before what failed on the way is asked again."""
_PATIENCE_S = 45.0
"""After so long a silent server is not asked again: it has been waited for already."""
_REPEATING = frozenset({"s3", "s3a", "gs", "gcs"})
"""Their clients repeat by themselves, and longer; what reaches us from them has failed for good."""
_BUSY = frozenset({408, 429})
_REFUSED = frozenset({401, 403})

_NO_RANGES = (
    "the server does not answer range requests, without which nothing can be read from the middle of a file; use a "
    "server that answers them, copy the file to this machine, or serve the images one by one and list them in an "
    "index .txt"
)


def asked(fs: fsspec.AbstractFileSystem, ask: Callable[[], T]) -> T:
    """The answer of a store; what fails on the way (a connection that breaks, a server that is busy) is asked again.

    Raises:
        Exception: whatever its client raises, in the end.
    """
    pauses = () if _REPEATING.intersection(_protocols(fs)) else _PAUSES_S
    begun_s = time.monotonic()
    for pause_s in pauses:
        try:
            return ask()
        except Exception as error:
            waited = isinstance(error, TimeoutError) and time.monotonic() - begun_s > _PATIENCE_S
            if waited or not _may_pass(error):
                raise
        time.sleep(pause_s)
    return ask()


def asked_for_bytes(fs: fsspec.AbstractFileSystem, ask: Callable[[], T]) -> T:
    """The same for whoever reads, and takes an OSError for a failure of the store.

    Raises:
        OSError: whatever a client raises becomes one. It is a FileNotFoundError only where nothing is there.
    """
    try:
        return asked(fs, ask)
    except Exception as error:
        if isinstance(error, OSError):
            raise
        raise OSError(_told(error)) from error


def cannot(what: str, error: Exception) -> SourceError:
    """The message for whatever a back end raised."""
    said = f"{what}: {_told(error)}"
    # fsspec's words for a server that sends the whole file whatever is asked for, and for one that says so before.
    if "support range requests" in said or "seek streaming" in said:
        return SourceError(f"{what}: {_NO_RANGES}")
    if "credential" in said.lower():
        said += " (credentials belong in the environment, or in the files that the store's own tools use)"
    return SourceError(said)


def not_in_place(path: str) -> SourceError:
    """The message for a server that sends more than it was asked for."""
    return SourceError(f"{path} cannot be read in place: {_NO_RANGES}")


def is_local(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether a file system is this machine's own."""
    return "file" in _protocols(fs)


def _told(error: Exception) -> str:
    status = getattr(error, "status", None)
    if status in _REFUSED:
        said = f"the server refuses access ({status} {getattr(error, 'message', '')}): {_place(error)}"
    else:
        said = f"{type(error).__name__}: {error}"
    # Clients quote the braces of a name, which nobody would find in the datasets file then.
    return said.replace("%7B", "{").replace("%7D", "}")


def _place(error: Exception) -> str:
    return str(getattr(getattr(error, "request_info", None), "real_url", error))


def _may_pass(error: Exception) -> bool:
    if (status := getattr(error, "status", None)) is not None:
        return isinstance(status, int) and (status in _BUSY or status >= 500)
    return isinstance(error, (ConnectionError, TimeoutError, *_broken()))


def _broken() -> tuple[type[Exception], ...]:
    """What the web's client calls a broken connection; where it is not loaded, nobody raises that."""
    aiohttp = sys.modules.get("aiohttp")
    return (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) if aiohttp else ()


def _protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
