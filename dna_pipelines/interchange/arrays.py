"""The arrays of an NPZ file, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dna_pipelines.errors import InterchangeError
from dna_pipelines.interchange.files import read_npz


class Arrays:
    """The arrays of an NPZ file, of which each has the shape and the kind of numbers that is expected.

    Args:
        path: the file.
        wanted, unread: as for `read_npz`, whose errors this raises.
    """

    def __init__(self, path: Path, wanted: Sequence[str], unread: Sequence[str] = ()) -> None:
        self._path = path
        self._arrays = read_npz(path, wanted, unread)

    def take(self, name: str, shape: tuple[int, ...], kinds: str) -> NDArray[Any]:
        """An array, which must have a shape and one of some kinds of numbers (numpy's `dtype.kind`).

        Raises:
            InterchangeError: when it has not.
        """
        array = self._arrays[name]
        if array.shape != shape or array.dtype.kind not in kinds:
            expected = "integer" if "i" in kinds else "floating-point"
            raise InterchangeError(
                f"{self._path}: {name} is {array.dtype} of shape {array.shape}, and must be {expected} numbers of "
                f"shape {shape}; export the file again",
                code="file.array",
                path=str(self._path),
                array=name,
                problem="type",
                dtype=str(array.dtype),
                expected=expected,
                shape=list(array.shape),
                expected_shape=list(shape),
            )
        return array

    def refusal(self, name: str, problem: str, message: str) -> InterchangeError:
        """The error for an array with impossible values."""
        return InterchangeError(
            f"{self._path}: {name} {message}", code="file.array", path=str(self._path), array=name, problem=problem
        )
