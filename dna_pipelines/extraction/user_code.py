"""What somebody's code raises, in one line that says where."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from typing import Any

import torch

import dna_pipelines

RAISED = (Exception, SystemExit)
"""Whatever somebody's code raises is for them to mend, also where it means to end the program."""

_PACKAGES = "site-packages"
_CALLERS = tuple(f"{Path(str(package.__file__)).parent}/" for package in (dna_pipelines, torch))
_STDLIB = f"{sysconfig.get_paths()['stdlib']}/"


def told(error: BaseException, of: Any = None) -> str:
    """An error in one line, with the file and line it comes from.

    That is the innermost line of the person's own code; where none is, of an installed package besides torch;
    where nothing of it ran, the function itself.

    Args:
        error: was raised by their code.
        of: the function that was called.
    """
    what = f"{type(error).__name__}: {error}".removesuffix(": ")
    if isinstance(error, SyntaxError):
        # It says the file itself, but without its folder.
        return f"{what} ({error.filename}:{error.lineno})"
    every = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    theirs = [place for place in every if not _calls(place[0])]
    own = [place for place in theirs if _PACKAGES not in place[0]]
    code = getattr(of, "__code__", None)
    called = [(code.co_filename, code.co_firstlineno)] if code else []
    file, line = (own or theirs or called or every)[-1]
    return f"{what} ({file}:{line})"


def _calls(file: str) -> bool:
    """Whether a file is what calls their code, or what that calls without being at fault."""
    return file.startswith((*_CALLERS, "<")) or (file.startswith(_STDLIB) and _PACKAGES not in file)
