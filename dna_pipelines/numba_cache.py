"""numba, imported here alone: it has to know before that where it may keep compiled kernels.

Where it can keep them neither beside their modules nor in the user's cache (in a container whose user has no home and
may not write to the installation), a folder among the temporary files takes them.
"""

import os
import tempfile
from pathlib import Path


def cache_folder(package: Path, home_cache: Path, temporary: Path) -> Path | None:
    """A folder for compiled kernels; None where numba finds one by itself.

    The same one for every process of a user, and of no other: what is in it is run.

    Args:
        package: where the modules with kernels are.
        home_cache: where the caches of the user's programs are.
        temporary: the folder for temporary files.
    """
    nearest = next(folder for folder in (home_cache, *home_cache.parents) if folder.exists())
    if os.access(package, os.W_OK) or os.access(nearest, os.W_OK):
        return None
    folder = temporary / f"dna_pipelines-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        status = folder.lstat()
        if not folder.is_dir() or folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
            return Path(tempfile.mkdtemp(prefix="dna_pipelines-", dir=temporary))
    return folder


def _choose_folder() -> None:
    """Name the folder to numba, unless the user has done so."""
    if "NUMBA_CACHE_DIR" in os.environ or os.name != "posix":
        return
    home_cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if folder := cache_folder(Path(__file__).parent, home_cache.absolute(), Path(tempfile.gettempdir())):
        os.environ["NUMBA_CACHE_DIR"] = str(folder)


_choose_folder()

import numba  # noqa: E402
from numba import types  # noqa: E402
from numba.extending import intrinsic  # noqa: E402

__all__ = ["cache_folder", "intrinsic", "numba", "types"]
