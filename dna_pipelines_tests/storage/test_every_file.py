"""A damaged file of the lake is made again, counts as missing, or is a clear error; it is never other content."""

import os
import random
import warnings
from collections import Counter

import pytest

from dna_pipelines.errors import DamagedFileWarning, DnaError
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.checksums import verified_json
from dna_pipelines_tests.storage.every_file import kinds, make_project, values

N_FLIPS = 10_000
N_SQL = 40
"""Flips per table that SQL reads: a statement takes longer than any other reader."""

N_CHECKSUMS = 72
"""Bytes of the checksums in a Parquet file."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("every-file"))


@pytest.fixture(scope="module")
def examined(project):
    """By name, each kind of file, one of them, and what is read from it while it is sound."""
    found = {}
    for name, kind in kinds(project).items():
        path = min(project.lake.layout.root.glob(kind.pattern))
        found[name] = (kind, path, values(kind.read(ProjectFolder(project.root))))
        assert found[name][2], name
    return found


def flipped(data, position, bit):
    return data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]


def damages(data, rng):
    """The content of a file after each kind of damage."""
    size = len(data)
    yield "empty", b""
    yield "truncated", data[: rng.randrange(1, size)]
    yield "zeros", bytes(size)
    yield "zeros in the middle", data[: size // 3] + bytes(size // 3) + data[2 * size // 3 :]
    yield "garbage", rng.randbytes(size)
    yield "garbage behind it", data + rng.randbytes(9)
    for where, start in (("head", 0), ("middle", size // 2 - 8), ("tail", size - 16)):
        yield f"a flipped bit in the {where}", flipped(data, start + rng.randrange(16), rng.randrange(8))


def outcome(project, kind, path, content, sound):
    """What reading a file leads to whose content is another."""
    original = path.read_bytes()
    path.write_bytes(content)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DamagedFileWarning)
            # Nothing is known of the file from before.
            found = values(kind.read(ProjectFolder(project.root)))
    except DnaError as error:
        return "clear" if error.code.startswith("lake.") else f"error {error.code}"
    except Exception as error:  # noqa: BLE001 (that is what is looked for)
        return f"traceback {type(error).__name__}: {error}"
    finally:
        path.write_bytes(original)
    if found == sound:
        return "same"
    named = str(path) in [warning.message.path for warning in caught]
    return "absent" if is_empty(found) or (named and set(found) < set(sound)) else "silent"


def is_empty(found):
    return not found or (isinstance(found, list) and not any(found))


def test_damage_of_every_kind_is_noticed(project, examined):
    rng, bad, noticed = random.Random(1), [], Counter()
    for number, (name, (kind, path, sound)) in enumerate(examined.items()):
        cases = list(damages(path.read_bytes(), rng))
        for damage, content in [cases[number % len(cases)]] if name.startswith("SQL") else cases:
            done = outcome(project, kind, path, content, sound)
            noticed[done] += 1
            # Of a mark that is damaged itself, the content is what it was.
            if done not in ("absent", "clear") and not (done == "same" and (name == "contents" or "bit" in damage)):
                bad.append((name, damage, done))
    assert bad == []
    assert noticed["clear"] > 100
    assert noticed["absent"] > 50


def test_every_file_of_the_lake_is_examined_here(project, examined):
    root = project.lake.layout.root
    patterns = {path.relative_to(root).parts[:-1] for path in root.rglob("*") if path.is_file()}
    seen = {path.relative_to(root).parts[:-1] for _, path, _ in examined.values()}
    # Other datasets, and the files for the duckdb shell, which are written again.
    left = {parts for parts in patterns - seen if parts[:1] != ("datasets",)}
    assert left == set()


def test_files_for_the_shell_are_written_again(project):
    catalog = project.catalog
    for path in (catalog.database, catalog.database.with_suffix(".sql")):
        for _, content in damages(path.read_bytes(), random.Random(2)):
            sound = path.read_bytes()
            path.write_bytes(content)
            catalog.export()
            assert path.suffix == ".duckdb" or path.read_bytes()[100:] == sound[100:]
            assert content == sound or path.read_bytes() != content
    written = os.stat(catalog.database)
    catalog.export()
    assert os.stat(catalog.database) == written


def regions(data, rng):
    """Positions of every region of a file, for ever."""
    size = len(data)
    while True:
        for start, end in ((0, 64), (size // 4, size // 2), (size - 700, size - 100), (size - 100, size), (0, size)):
            yield rng.randrange(max(start, 0), max(min(end, size), 1))


@pytest.mark.campaign
@pytest.mark.parametrize("with_checksums", [True, False])
def test_flipped_bits_are_noticed(project, examined, with_checksums):
    """Files of an earlier version have no checksum: a flipped bit in them may go unnoticed, but it stops nothing."""
    rng, outcomes, bad = random.Random(3), Counter(), []
    n_each = N_FLIPS // sum(not name.startswith("SQL") for name in examined)
    for name, (kind, path, sound) in examined.items():
        data = path.read_bytes() if with_checksums else without_checksum(path.read_bytes())
        positions = regions(data, rng)
        for _ in range(N_SQL if name.startswith("SQL") else n_each):
            position, bit = next(positions), rng.randrange(8)
            done = outcome(project, kind, path, flipped(data, position, bit), sound)
            outcomes[done.split()[0]] += 1
            if done.startswith(("traceback", "error")) or (done == "silent" and with_checksums):
                bad.append((name, position, bit, done))
    assert bad == [], outcomes
    assert outcomes["clear"] > N_FLIPS // 4


def without_checksum(data):
    """A file as an earlier version wrote it."""
    if data[:4] == b"PAR1":
        n_footer = int.from_bytes(data[-8:-4], "little") - N_CHECKSUMS
        return data[: -8 - N_CHECKSUMS] + n_footer.to_bytes(4, "little") + b"PAR1"
    return verified_json(data) if data[:1] in b"{[" else data
