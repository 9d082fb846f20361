"""From the exception of a store's client to a SourceError with a code, facts and advice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dna_pipelines.credentials import without_credentials
from dna_pipelines.errors import DnaError, SourceError

_REFUSED = frozenset({401, 403})

_NO_RANGES = (
    "the server does not answer range requests, which reading parts of a file needs; use a server that answers them, "
    "copy the file to this machine, or serve the images one by one and list them in an index .txt"
)


def source_error(
    what: str, error: Exception, *, uri: str, code: str = "source.unreachable", **facts: Any
) -> SourceError:
    """The error for an exception of a client.

    A file that does not exist, a refused request, missing credentials and a server without range requests have codes
    of their own.

    Args:
        what: what failed, for the message.
        error: what the client raised.
        uri: the location.
        code: the code where the exception has none of its own.
        facts: further facts.
    """
    what, description = without_credentials(what), describe(error)
    facts |= {"uri": without_credentials(uri), **failure_facts(error)}
    # fsspec's words for a server that sends the whole file on every request, and for one that announces it.
    if "support range requests" in description or "seek streaming" in description:
        return SourceError(f"{what}: {_NO_RANGES}", code="source.no-range-requests", **facts)
    if "credential" in description.lower():
        advice = "credentials belong in the environment, or in the files that the store's own tools use"
        return SourceError(f"{what}: {description} ({advice})", code="source.credentials", **facts)
    if facts.get("status") in _REFUSED:
        code = "source.refused"
    elif isinstance(error, FileNotFoundError):
        code = "source.missing"
    return SourceError(f"{what}: {description}", code=code, **facts)


@contextmanager
def only_own_errors(uri: str, *others: type[Exception]) -> Iterator[None]:
    """Turns every exception that is no error of this package into a SourceError: clients of stores raise anything.

    So a location that fails in an unforeseen way concerns its own dataset, and not those that are looked at after it.

    Args:
        uri: the location.
        others: exceptions that the caller handles.
    """
    try:
        yield
    except DnaError:
        raise
    except others:
        raise
    except Exception as error:
        raise source_error(
            f"{uri} cannot be listed or read, for an unexpected reason (check the location, its settings and whether "
            "the package of its file system is up to date; if they are right, report a defect)",
            error,
            uri=uri,
            code="source.unexpected",
        ) from error


def no_range_requests(uri: str) -> SourceError:
    """The error for a server that sends more bytes than it was asked for."""
    return SourceError(f"{uri} cannot be read in parts: {_NO_RANGES}", code="source.no-range-requests", uri=uri)


def failure_facts(error: BaseException) -> dict[str, Any]:
    """The type of a client's exception as `error`, and the status of the server's answer as `status`."""
    # `read_with_retries` wraps other exceptions in a bare OSError.
    if type(error) is OSError and error.__cause__ is not None:
        error = error.__cause__
    status = getattr(error, "status", None)
    return {"error": type(error).__name__} | ({"status": status} if isinstance(status, int) else {})


def describe(error: Exception) -> str:
    """An exception of a client in words."""
    status = getattr(error, "status", None)
    if status in _REFUSED:
        address = getattr(getattr(error, "request_info", None), "real_url", error)
        text = f"the server refuses access ({status} {getattr(error, 'message', '')}): {address}"
    else:
        text = f"{type(error).__name__}: {error}"
    # Clients quote the braces of a name, which then differs from the name in the datasets file.
    return without_credentials(text.replace("%7B", "{").replace("%7D", "}"))
