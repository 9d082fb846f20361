"""Where compiled kernels are kept when nothing can be written but the folder for temporary files."""

import os
import stat
import subprocess
import sys

import pytest

from dna_pipelines.numba_cache import cache_folder


@pytest.fixture
def places(tmp_path):
    for name in ("package", "home", "temporary"):
        (tmp_path / name).mkdir()
    return tmp_path / "package", tmp_path / "home" / ".cache", tmp_path / "temporary"


def writable(monkeypatch, *folders):
    monkeypatch.setattr(os, "access", lambda path, _mode: path in folders)


def test_numba_is_left_alone_where_it_finds_a_place(places, monkeypatch):
    package, home_cache, temporary = places
    for folder in (package, home_cache.parent):
        writable(monkeypatch, folder)
        assert cache_folder(package, home_cache, temporary) is None
    assert list(temporary.iterdir()) == []


def test_otherwise_it_is_a_folder_of_the_user_alone_and_always_the_same(places, monkeypatch):
    writable(monkeypatch)
    found = cache_folder(*places)
    assert found.parent == places[2]
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert cache_folder(*places) == found


@pytest.mark.parametrize("how", ["link", "open to others", "file"])
def test_a_folder_that_another_user_may_write_to_is_not_taken(places, monkeypatch, how):
    writable(monkeypatch)
    taken = cache_folder(*places)
    taken.rmdir()
    if how == "link":
        taken.symlink_to(places[0])
    elif how == "file":
        taken.write_text("")
    else:
        taken.mkdir(mode=0o777)
        taken.chmod(0o777)
    found = cache_folder(*places)
    assert found != taken
    assert stat.S_IMODE(found.stat().st_mode) == 0o700


def test_kernels_are_compiled_there(places):
    code = (
        "import os; os.access = lambda *_: False\n"
        "from dna_pipelines.numba_cache import numba\n"
        "@numba.njit(cache=True)\ndef f(x): return x + 1\n"
        "assert f(1) == 2; print(numba.config.CACHE_DIR)"
    )
    script = places[0] / "kernels.py"
    script.write_text(code)
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, script],
        env=environment | {"TMPDIR": str(places[2]), "XDG_CACHE_HOME": str(places[1])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert list(places[2].rglob("*.nbi"))
    assert done.stdout.strip().startswith(str(places[2]))
