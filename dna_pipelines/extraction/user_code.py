"""Errors in code of the user: what was raised, and at which line of their file.

Functions that build networks, and forward passes of such networks, run code that this package did not write.
"""

from __future__ import annotations

import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import dna_pipelines

USER_CODE_ERRORS = (Exception, SystemExit)
"""What user code raises is reported as a user code error, also where it means to end the program."""

_PACKAGES = "site-packages"
_CALLERS = tuple(f"{Path(str(package.__file__)).parent}/" for package in (dna_pipelines, torch))
_STDLIB = f"{sysconfig.get_paths()['stdlib']}/"


@dataclass(frozen=True)
class UserCodeError:
    """What user code raised.

    Attributes:
        kind: the class of the exception.
        text: its message.
        file, line: where it comes from: the innermost line of the user's own code; without one, of an installed
            package other than torch; if none of their code ran, the function itself.
    """

    kind: str
    text: str
    file: str
    line: int

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of an error that reports it."""
        return {"error": self.kind, "file": self.file, "line": self.line}

    def __str__(self) -> str:
        """One line with class, message, file and line."""
        what = f"{self.kind}: {self.text}".removesuffix(": ")
        return f"{what} ({self.file}:{self.line})"


def user_code_error(error: BaseException, called: Any = None) -> UserCodeError:
    """What user code raised, and where.

    Args:
        error: the exception.
        called: the function of the user that was called.
    """
    kind, text = type(error).__name__, str(error)
    if isinstance(error, SyntaxError):
        # Its traceback ends at the import; the error itself knows the file and the line.
        return UserCodeError(kind, text, error.filename or "", error.lineno or 0)
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    theirs = [frame for frame in frames if not _is_caller(frame[0])]
    own = [frame for frame in theirs if _PACKAGES not in frame[0]]
    code = getattr(called, "__code__", None)
    function = [(code.co_filename, code.co_firstlineno)] if code else []
    return UserCodeError(kind, text, *(own or theirs or function or frames)[-1])


def _is_caller(file: str) -> bool:
    """Whether a file belongs to what calls user code (this package, torch), or to the standard library."""
    return file.startswith((*_CALLERS, "<")) or (file.startswith(_STDLIB) and _PACKAGES not in file)
