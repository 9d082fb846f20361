"""JSON and NPZ files: errors say what to do, writes are atomic, and nothing is pickled."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.errors import InterchangeError
from dna_pipelines.storage.files import replace

_DAMAGE = (
    OSError, ValueError, EOFError, TypeError, MemoryError, NotImplementedError, RuntimeError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What numpy and zipfile raise on damaged files, and on files of another kind."""


def read_json(path: Path) -> tuple[dict[str, Any], bytes]:
    """The object in a JSON file, and the file's bytes.

    Raises:
        InterchangeError: when the file cannot be read, or is not a JSON object.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InterchangeError(
            f"{path} cannot be read: {error.strerror}", code="file.unreadable", path=str(path)
        ) from error
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InterchangeError(f"{path} is not a JSON file: {error}", code="file.no-json", path=str(path)) from error
    if not isinstance(found, dict):
        raise InterchangeError(f"{path} is not a JSON object", code="file.no-json", path=str(path))
    return found, data


def read_npz(path: Path, wanted: Sequence[str], unread: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Arrays of an NPZ file; objects, which would have to be unpickled, are refused.

    Args:
        path: the file.
        wanted: names of the arrays to read; all must be there.
        unread: names of other arrays that the file may have, which are not read.

    Raises:
        InterchangeError: when the file is missing or damaged, or has other arrays.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            missing, unknown = set(wanted) - set(arrays.files), set(arrays.files) - {*wanted, *unread}
            read = {name: arrays[name] for name in wanted if name not in missing}
    except FileNotFoundError as error:
        raise InterchangeError(
            f"{path} is missing, which has the arrays of {path.with_suffix('.json')}; copy it beside that file",
            code="file.missing",
            path=str(path),
        ) from error
    except _DAMAGE as error:
        raise InterchangeError(
            f"{path} is damaged, or is not an NPZ file of numbers: {error}", code="file.no-npz", path=str(path)
        ) from error
    if missing:
        raise InterchangeError(
            f"arrays are missing from {path}: {', '.join(sorted(missing))}; export the file again",
            code="file.missing-arrays",
            path=str(path),
            arrays=sorted(missing),
        )
    if unknown:
        raise InterchangeError(
            f"{path} has arrays that {path.with_suffix('.json')} does not name: {', '.join(sorted(unknown))}",
            code="file.unknown-arrays",
            path=str(path),
            arrays=sorted(unknown),
        )
    if others := [name for name, array in read.items() if not isinstance(array, np.ndarray)]:
        raise InterchangeError(
            f"{path} is not an NPZ file: its entries {', '.join(others)} are not arrays",
            code="file.no-npz",
            path=str(path),
            entries=others,
        )
    return read


def require_room(*paths: Path, force: bool) -> None:
    """Refuse to overwrite files.

    Raises:
        InterchangeError: when one of the files exists and `force` is not set, or when a path is a folder.
    """
    for path in paths:
        if path.is_dir():
            raise InterchangeError(f"{path} is a folder; name a file", code="file.folder", path=str(path))
        if path.exists() and not force:
            raise InterchangeError(
                f"{path} exists already; use --force to overwrite it", code="file.exists", path=str(path)
            )


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    replace(path, json.dumps(value, indent=1, allow_nan=False).encode())


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an NPZ file atomically; equal arrays give equal bytes, and arrays can have any name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            # An entry made this way has no time of writing.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    replace(path, buffer.getvalue())
