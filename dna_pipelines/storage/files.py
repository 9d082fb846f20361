"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import errno
import os
import time
import uuid
from pathlib import Path

from dna_pipelines.errors import LakeError

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
_STALE_S = 24 * 3600


def write_new(path: Path, data: bytes) -> bool:
    """Write a file unless it exists; returns whether this call wrote it.

    The bytes are complete and on disk before the name appears, and of two writers exactly one wins.
    """
    if path.exists():
        return False
    draft = _draft(path, data)
    try:
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # File systems without hard links: the name is checked, then taken.
            if path.exists():
                return False
            draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def replace(path: Path, data: bytes) -> None:
    """Write a file in place of the one there; readers see the old one or the new one."""
    draft = _draft(path, data)
    draft.replace(path)
    _sync_folder(path.parent)


def remove_drafts(root: Path, older_than_s: float = _STALE_S) -> int:
    """Remove what writers that were killed left behind; returns how many files."""
    limit, n_removed = time.time() - older_than_s, 0
    for draft in root.rglob(".*.draft"):
        try:
            if draft.stat().st_mtime < limit:
                draft.unlink()
                n_removed += 1
        except FileNotFoundError:
            continue
    return n_removed


def draft_of(path: Path) -> Path:
    """A name beside a file for its next content: no reader looks at it, and no other writer has it."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.draft")


def _draft(path: Path, data: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = draft_of(path)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror}; nothing was changed") from error
    return draft


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
