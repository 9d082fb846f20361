"""Atomic writes: a file is either complete or absent."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dna_pipelines.errors import LakeError

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EXDEV}
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES}
_STALE_S = 24 * 3600
_CLAIM_S = 10.0
"""Longer than a rename takes."""


def write_new(path: Path, data: bytes) -> bool:
    """Write a file unless it exists; returns whether this call wrote it.

    The bytes are complete and on disk before the name appears, and of two writers exactly one wins.

    Raises:
        LakeError: when it cannot be written: the disk is full, the folder is read-only, …
    """
    with _system_errors(path, "accessed"):
        if path.exists():
            return False
    with _draft(path, data) as draft:
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _renamed(draft, path)
    return True


def _renamed(draft: Path, path: Path) -> bool:
    """Rename a draft where there are no hard links; returns whether this call did.

    Renaming replaces an existing file, so a writer must own the claim to the name before it checks for the file, and
    only one writer can.
    """
    claim, mine = path.with_name(f".{path.name}.claim.draft"), uuid.uuid4().bytes
    theirs, since_s = b"", time.monotonic()
    while not path.exists():
        try:
            handle = os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            if (owner := _content(claim)) != theirs:
                theirs, since_s = owner, time.monotonic()
            # Measured by the clock of this machine, because that of a file server may differ.
            elif time.monotonic() - since_s > _CLAIM_S:
                # Its owner was killed. Only one process can rename it.
                with suppress(FileNotFoundError):
                    claim.rename(away := draft_of(claim))
                    away.unlink()
            time.sleep(0.01)
            continue
        try:
            os.write(handle, mine)
            os.close(handle)
            if not path.exists():
                draft.rename(path)
                return True
        finally:
            if _content(claim) == mine:
                claim.unlink(missing_ok=True)
    return False


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def read(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        FileNotFoundError: when there is none.
        LakeError: when it cannot be read.
    """
    with _system_errors(path, "read"):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = error
    raise FileNotFoundError(str(path)) from missing


def replace(path: Path, data: bytes) -> None:
    """Write a file in place of an existing one; readers see the old content or the new one.

    Raises:
        LakeError: when it cannot be written: the disk is full, the folder is read-only, …
    """
    with _draft(path, data) as draft:
        draft.replace(path)


def put(path: Path, data: bytes) -> None:
    """Give a file a content; nothing is written where it has that already.

    Raises:
        LakeError: as `replace`.
    """
    try:
        known = read(path)
    except (FileNotFoundError, LakeError):
        # What cannot be read is replaced.
        known = None
    if known != data:
        replace(path, data)


def replace_by_link(path: Path, of: Path) -> None:
    """Link a name to another file, which never changes; bytes are copied where the file system has no links.

    Raises:
        LakeError: when it cannot be done.
    """
    draft = draft_of(path)
    with _system_errors(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(of, draft)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            data = of.read_bytes()
            if not path.exists() or path.read_bytes() != data:
                replace(path, data)
            return
        try:
            draft.replace(path)
        finally:
            # Where both names are the same file already, replacing does nothing.
            draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def if_writable(write: Callable[[], object]) -> str:
    """Write what can be computed again, where the lake can be written.

    Returns:
        Why it cannot be written; empty where it was.
    """
    try:
        write()
    except LakeError as error:
        if error.code != "lake.io":
            raise
        return str(error)
    return ""


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        LakeError: when that cannot be done.
    """
    with _system_errors(path, "removed"):
        path.unlink(missing_ok=True)


def remove_drafts(root: Path, older_than_s: float = _STALE_S) -> int:
    """Remove the drafts of killed writers; returns how many files."""
    limit, n_removed = time.time() - older_than_s, 0
    # DuckDB writes a log beside its file: `….draft.wal`.
    for draft in root.rglob(".*.draft*"):
        try:
            if draft.stat().st_mtime < limit:
                draft.unlink()
                n_removed += 1
        except OSError:
            # Another process removed it, or the folder is read-only: a draft does no harm.
            continue
    return n_removed


def draft_of(path: Path) -> Path:
    """A name for the next content of a file, beside it: readers ignore it, and no other writer uses it."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.draft")


@contextmanager
def _draft(path: Path, data: bytes) -> Iterator[Path]:
    """Write bytes under another name, for a `with` block that gives them their own."""
    draft = draft_of(path)
    with _system_errors(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield draft
        finally:
            # Also after a failure: half a file takes space on a full disk.
            draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def _system_errors(path: Path, action: str) -> Iterator[None]:
    """Raise errors of the system as a LakeError that says what could not be done."""
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"{path} cannot be {action}: {error.strerror}; nothing was changed",
            code="lake.io",
            path=str(path),
            problem=error.strerror,
        ) from error


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to disk. Some file systems cannot, and some folders cannot be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise LakeError(
                f"{folder}: the file was written, but may not be on disk yet: {error.strerror}; run again",
                code="lake.not-synced",
                path=str(folder),
                problem=error.strerror,
            ) from error
