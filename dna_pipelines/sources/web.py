"""Web servers. fsspec's client treats every failure as a missing file; this one distinguishes them.

Only the statuses 404 (not found) and 410 (gone) mean that a file does not exist.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

from aiohttp import ClientTimeout
from fsspec.implementations.http import HTTPFileSystem
from yarl import URL

from dna_pipelines.errors import Unreadable
from dna_pipelines.sources.base import MAX_IMAGE_BYTES

_SILENCE_S = 30.0
_PIECE_BYTES = 2**20
_GONE = frozenset({404, 410})
_ENCODED = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")


class WebFileSystem(HTTPFileSystem):  # type: ignore[misc]
    """Files on web servers.

    Args:
        timeout: the seconds that connecting may take, and that a server may be silent. The transfer of a large file
            has no limit.
        client_kwargs: for the client; its `timeout` overrides the one above.
        options: for fsspec's class.
    """

    def __init__(
        self, *, timeout: float = _SILENCE_S, client_kwargs: dict[str, Any] | None = None, **options: Any
    ) -> None:
        if not isinstance(timeout, int | float) or timeout <= 0:
            raise ValueError(f"the timeout is {timeout!r}; write a number of seconds above 0")
        limits = ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        super().__init__(client_kwargs={"timeout": limits, **(client_kwargs or {})}, **options)

    def _raise_not_found_for_status(self, response: Any, url: str) -> None:
        if response.status in _GONE:
            raise FileNotFoundError(url)
        response.raise_for_status()

    def encode_url(self, url: str) -> URL:
        """An address as it is sent: one that is encoded already stays as it is, because it may be signed."""
        return URL(url, encoded=_ENCODED.fullmatch(url) is not None)

    async def _ls_real(self, url: str, detail: bool = True, **kwargs: Any) -> Any:
        try:
            links = await super()._ls_real(url, detail=detail, **kwargs)
        except FileNotFoundError:
            # fsspec leaves out the slash of a folder, without which a server need not know it.
            if url.endswith("/"):
                raise
            links = await super()._ls_real(f"{url}/", detail=detail, **kwargs)
        # fsspec reads pages by a pattern, and leaves `&amp;` in their links.
        if detail:
            return [{**link, "name": unescape(link["name"])} for link in links]
        return [unescape(link) for link in links]

    async def _cat_file(self, url: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        if start is not None or end is not None:
            data: bytes = await super()._cat_file(url, start=start, end=end, **kwargs)
            return data
        # In pieces, because an answer may be compressed, or without end.
        pieces, n_bytes = [], 0
        session = await self.set_session()
        async with session.get(self.encode_url(url), **self.kwargs) as answer:
            self._raise_not_found_for_status(answer, url)
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                pieces.append(piece)
                n_bytes += len(piece)
                if n_bytes > MAX_IMAGE_BYTES:
                    raise Unreadable("too large", f"more than the limit of {MAX_IMAGE_BYTES:,} bytes")
        return b"".join(pieces)

    async def _info(self, url: str, **kwargs: Any) -> dict[str, Any]:
        try:
            info: dict[str, Any] = await super()._info(url, **kwargs)
        except FileNotFoundError as error:
            # fsspec keeps the failure as the cause.
            if error.__cause__ is None or getattr(error.__cause__, "status", None) in _GONE:
                raise
            raise error.__cause__ from None
        return info

    async def _exists(self, path: str, **_kwargs: Any) -> bool:
        try:
            await self._info(path)
        except FileNotFoundError:
            return False
        return True

    async def _walk(
        self, path: str, maxdepth: int | None = None, topdown: bool = True, on_error: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        # By default a page that cannot be fetched counts as empty, and its images as deleted.
        async for folder in super()._walk(path, maxdepth, topdown, on_error or _unless_gone, **kwargs):
            yield folder


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
