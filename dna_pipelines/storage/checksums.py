"""Checksums inside the files of the lake: of every byte, and verified before a parser sees the file.

They are sha256 and lie where other readers pass over them:

- JSON: in the first member of an object, or the first object of a list.
- Parquet: at the end of the footer, behind its metadata, where signed files have their signature. There are two, of the
  footer and of what precedes it, so that the footer can be verified without reading the rest.
- other files, which only dna_pipelines reads: before the content.

JSON and Parquet files without a checksum were written by an earlier version, or edited by a person: they are accepted.
So is a file of which only the mark of the checksum is damaged, because its content is not.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

_OBJECT, _LIST = b'{"checksum": "sha256:', b'[{"checksum": "sha256:'
_MARK = b"dnasha01"
_N_HASH, _N_HEX = 32, 64
_N_END = 8
"""Bytes at the end of a Parquet file: the size of its footer, and `PAR1`."""
_N_LAST = len(_MARK) + _N_END
_N_CHECKSUMS = 2 * _N_HASH + len(_MARK)


class ChecksumMismatch(ValueError):
    """A file does not have the content that was written."""

    def __init__(self) -> None:
        super().__init__("its content does not match its checksum")


class NotParquet(ValueError):
    """A file is cut off or overwritten."""

    def __init__(self) -> None:
        super().__init__("it does not begin and end as a Parquet file")


def json_with_checksum(text: bytes) -> bytes:
    """A JSON object with members, or a list, with its checksum.

    Examples:
        >>> verified_json(json_with_checksum(b'{"n": 1}'))
        b'{"n": 1}'
    """
    checksum = sha256(text).hexdigest().encode()
    if text[:1] == b"{":
        return _OBJECT + checksum + b'",' + text[1:]
    return _LIST + checksum + (b'"}' if text == b"[]" else b'"},') + text[1:]


def verified_json(data: bytes) -> bytes:
    """The JSON text of a file, without its checksum.

    Raises:
        ChecksumMismatch: when it is damaged.
    """
    for head, end in ((_OBJECT, b'",'), (_LIST, b'"},'), (_LIST, b'"}')):
        n_head = len(head) + _N_HEX
        if data.startswith(head) and data[n_head : n_head + len(end)] == end:
            text = head[:1] + data[n_head + len(end) :]
            if sha256(text).hexdigest().encode() != data[len(head) : n_head]:
                raise ChecksumMismatch
            return text
    if data.startswith((_OBJECT, _LIST)):
        raise ChecksumMismatch
    return data


def parquet_with_checksum(data: bytes) -> bytes:
    """A Parquet file with its checksums."""
    n_footer = int.from_bytes(data[-_N_END:-4], "little")
    footer_at = len(data) - _N_END - n_footer
    footer = data[footer_at:-_N_END] + sha256(data[:footer_at]).digest()
    end = (n_footer + _N_CHECKSUMS).to_bytes(4, "little") + data[-4:]
    return data[:footer_at] + footer + sha256(footer + end).digest() + _MARK + end


def verify_parquet(data: bytes) -> bool:
    """Verify a whole Parquet file; returns whether it has a checksum.

    Raises:
        ChecksumMismatch: when it is damaged.
        NotParquet: when it does not begin and end as such a file.
    """
    n_footer = _n_footer(data[:4], data[-_N_LAST:], len(data))
    if n_footer is None:
        return False
    footer_at = len(data) - _N_END - n_footer
    if sha256(data[:footer_at]).digest() != _verified_footer(data[footer_at:]):
        raise ChecksumMismatch
    return True


def verify_footer(path: Path) -> bool:
    """Verify the footer of a Parquet file, without reading the rest; returns whether it has a checksum.

    Raises:
        ChecksumMismatch, NotParquet: as `verify_parquet`.
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        start, size = file.read(4), file.seek(0, 2)
        file.seek(max(size - _N_LAST, 0))
        n_footer = _n_footer(start, file.read(), size)
        if n_footer is None:
            return False
        file.seek(size - _N_END - n_footer)
        _verified_footer(file.read())
    return True


def _n_footer(start: bytes, last: bytes, size: int) -> int | None:
    """The size of the footer by the first and last bytes of a file of some size; None where it has no checksums."""
    n_footer = int.from_bytes(last[-_N_END:-4], "little")
    if start != b"PAR1" or last[-4:] != b"PAR1" or n_footer + _N_END + len(start) > size:
        raise NotParquet
    return n_footer if last.startswith(_MARK) else None


def _verified_footer(data: bytes) -> bytes:
    """The checksum of what precedes a footer; `data` runs from the footer to the end of the file."""
    end, checksums_at = data[-_N_END:], len(data) - _N_END - _N_CHECKSUMS
    hash_at = checksums_at + _N_HASH
    if checksums_at < 0 or sha256(data[:hash_at] + end).digest() != data[hash_at : hash_at + _N_HASH]:
        raise ChecksumMismatch
    return data[checksums_at:hash_at]


def bytes_with_checksum(data: bytes) -> bytes:
    """Bytes of any kind with their checksum."""
    return _MARK + sha256(data).digest() + data


def verified_bytes(data: bytes) -> bytes:
    """The bytes that `bytes_with_checksum` was given.

    Raises:
        ChecksumMismatch: when they are damaged, or have no checksum.
    """
    content = data[len(_MARK) + _N_HASH :]
    if data[: len(_MARK) + _N_HASH] != _MARK + sha256(content).digest():
        raise ChecksumMismatch
    return content
