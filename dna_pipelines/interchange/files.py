"""JSON and NPZ files: read with errors that say what to do, written whole, never pickled."""

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
"""What numpy and zipfile raise on files that are not what they should be."""


def read_json(path: Path) -> tuple[dict[str, Any], bytes]:
    """The object in a JSON file, and the file's bytes.

    Raises:
        InterchangeError: when there is no such file, or something else in it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InterchangeError(f"{path} cannot be read: {error.strerror}") from error
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InterchangeError(f"{path} is no JSON file: {error}") from error
    if not isinstance(found, dict):
        raise InterchangeError(f"{path} holds no JSON object")
    return found, data


def read_npz(path: Path, wanted: Sequence[str], unread: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Arrays of an NPZ file; objects, which would have to be unpickled, are refused.

    Args:
        path: the file.
        wanted: the arrays it should have.
        unread: what it may have besides; it is not looked into.

    Raises:
        InterchangeError: when there is no such file, it is damaged, or it has other arrays.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            lacking, more = set(wanted) - set(arrays.files), set(arrays.files) - {*wanted, *unread}
            found = {name: arrays[name] for name in wanted if name not in lacking}
    except FileNotFoundError as error:
        raise InterchangeError(f"{path} is missing: the arrays of {path.with_suffix('.json')} are in it") from error
    except _DAMAGE as error:
        raise InterchangeError(f"{path} is damaged, or no NPZ file of numbers: {error}") from error
    if lacking:
        raise InterchangeError(f"{path} lacks the arrays {', '.join(sorted(lacking))}")
    if more:
        raise InterchangeError(f"{path} has arrays that nothing is said of: {', '.join(sorted(more))}")
    if strange := [name for name, array in found.items() if not isinstance(array, np.ndarray)]:
        raise InterchangeError(f"{path} is no NPZ file: {', '.join(strange)} are no arrays")
    return found


def require_room(*paths: Path, force: bool) -> None:
    """Refuse to write over what is there.

    Raises:
        InterchangeError: when one of the files exists (unless forced), or is a folder.
    """
    for path in paths:
        if path.is_dir():
            raise InterchangeError(f"{path} is a folder; name a file")
        if path.exists() and not force:
            raise InterchangeError(f"{path} is there already; --force writes over it")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    replace(path, json.dumps(value, indent=1, allow_nan=False).encode())


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an NPZ file, whole or not at all; equal arrays give equal bytes, and any name will do."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            # Made here, it carries no time of writing.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    replace(path, buffer.getvalue())
