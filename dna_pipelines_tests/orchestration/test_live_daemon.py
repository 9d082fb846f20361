"""The live daemon: `dna ui` as a process, unattended, ended, and killed at random moments."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

import dagster as dg
import psutil
import pytest

from dna_pipelines.analysis.matrix import find_matrix
from dna_pipelines.orchestration.instance import open_instance
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.plan import make_plan
from dna_pipelines.update.staleness import needs
from dna_pipelines_tests.toy import write_image

pytestmark = pytest.mark.campaign

LIMIT_S = 300


@pytest.fixture
def root(tmp_path):
    return project_of(tmp_path, ["one", "two"], n_images=40)


def project_of(root, names, n_images):
    lines = ["scan_every: 10s", "datasets:"]
    for place, name in enumerate(names):
        lines += [f"  - {{name: {name}, uri: images/{name}}}"]
        for number in range(n_images):
            write_image(root / "images" / name, f"{number}.png", 100 * place + number)
    (root / "data").mkdir()
    (root / "data" / "datasets.yaml").write_text("\n".join(lines) + "\n")
    return root


@contextlib.contextmanager
def daemon(root, *shell):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dna_pipelines.cli.main", "--root", str(root), "ui", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*shell, *command], **quiet, start_new_session=True)
    try:
        yield process
    finally:
        kill_all(process)


def family(process):
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill_all(process):
    for one in [*family(process), process]:
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            os.kill(one.pid, signal.SIGKILL)
    process.wait()


def kill_some(process, rng):
    """A power cut, or the death of the daemon, the code server or a run worker."""
    # Runs are processes that the code server spawns.
    kind = rng.choice(["everything", "dagster._daemon", "dagster api grpc", "spawn_main"])
    if kind == "everything":
        kill_all(process)
        return
    for one in family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            if kind in " ".join(one.cmdline()):
                one.kill()
                return


def is_current(root):
    project = ProjectFolder(root)
    missing = needs(project)
    quiet = not (
        missing.manifests or missing.ranges or missing.distances or missing.matrix or any(missing.dnas.values())
    )
    return quiet and make_plan(project).nothing_to_do and project.lake.distances.drawn("builtin") is not None


def wait_until_current(root, limit_s=LIMIT_S):
    started = time.monotonic()
    while not is_current(root):
        assert time.monotonic() - started < limit_s, needs(ProjectFolder(root))
        time.sleep(1)
    return time.monotonic() - started


def ended_runs(root):
    """The runs that made assets, once none of them is under way."""
    started = time.monotonic()
    with open_instance(ProjectFolder(root)) as instance:
        while time.monotonic() - started < LIMIT_S:
            runs = instance.get_runs(dg.RunsFilter(job_name="__ASSET_JOB"))
            if all(run.is_finished for run in runs):
                return runs
            time.sleep(1)
    raise AssertionError([run.status for run in runs])


def made(root):
    """How often each asset was made so far, by asset and dataset."""
    with open_instance(ProjectFolder(root)) as instance:
        return Counter(
            (key.to_user_string(), record.partition_key)
            for key in instance.all_asset_keys()
            for record in instance.fetch_materializations(key, limit=1000).records
        )


def dna_of(*names):
    return [("builtin/dna", name) for name in names]


def manifest_of(*names):
    return [("raw", name) for name in names] + [("manifest", name) for name in names]


PAIRS = [("builtin/distances", None), ("builtin/matrix", None)]


def test_every_scenario_unattended(tmp_path):
    root = project_of(tmp_path, ["one", "two", "three"], n_images=12)
    images, file = root / "images", root / "data" / "datasets.yaml"
    everything = [*manifest_of("one", "two", "three"), ("builtin/ranges", None), *dna_of("one", "two", "three")]

    def scenario(change, expected, most=1):
        before = made(root)
        change()
        wait_until_current(root, limit_s=300)
        # Whatever was begun for nothing would show by now: two more scans.
        time.sleep(25)
        found = made(root) - before
        assert set(found) == set(expected)
        assert all(count <= most for count in found.values()), found

    def rename_dataset():
        file.write_text(file.read_text().replace("name: three", "name: third"))

    def empty():
        for image in (images / "two").iterdir():
            image.unlink()

    with daemon(root):
        # The first datasets that are ready are compared before the others come.
        scenario(lambda: None, [*everything, *PAIRS], most=3)
        scenario(lambda: None, [])
        scenario(lambda: write_image(images / "one", "new.png", 999), [*manifest_of("one"), *dna_of("one"), *PAIRS])
        scenario(lambda: os.utime(images / "one" / "new.png"), manifest_of("one"))
        scenario(lambda: (images / "one" / "new.png").rename(images / "one" / "named.png"), manifest_of("one"))
        # The same images under another name: the DNA is there already. The matrix loses one and gains one.
        scenario(rename_dataset, [*manifest_of("third"), ("builtin/matrix", None)], most=2)
        scenario(empty, [*manifest_of("two"), ("builtin/matrix", None)])
        assert find_matrix(ProjectFolder(root), "builtin").names == ("one", "third")


def test_many_datasets_share_their_processes(tmp_path):
    names = [f"d{number}" for number in range(24)]
    with daemon(project_of(tmp_path, names, n_images=3)):
        wait_until_current(tmp_path, limit_s=300)
        # The lake is current before the last run has ended.
        runs = ended_runs(tmp_path)
    # Two batches each for the manifests and the DNAs, the ranges, and distances with the matrix.
    assert len(runs) <= 8
    assert all(run.is_success for run in runs)


# A shell ignores Ctrl-C for what it starts in the background, and programs inherit that.
BACKGROUND = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")


@pytest.mark.parametrize("shell", [(), BACKGROUND], ids=["in the foreground", "in the background"])
def test_ended_by_a_signal_it_leaves_nothing_running(root, shell):
    with daemon(root, *shell) as process:
        started = time.monotonic()
        while not ProjectFolder(root).lake.versions.latest("one"):
            assert time.monotonic() - started < LIMIT_S
            time.sleep(0.2)
        ended = family(process)
        # `dagster dev`, its web page, its daemon, the code server with its child, and the run that is under way.
        assert len(ended) > 5
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        _, alive = psutil.wait_procs(ended, timeout=10)
        # Where no process waits for orphans, zombies stay in the table.
        assert [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("seed", range(12))
def test_killed_at_a_random_moment_everything_comes_up_to_date_again(root, seed):
    rng = random.Random(seed)
    with daemon(root) as process:
        time.sleep(rng.uniform(5, 60))
        kill_some(process, rng)
    with daemon(root):
        wait_until_current(root)
        write_image(root / "images" / "two", "new.png", 999)
        # No slot and no partition is blocked: the next change comes through as well.
        wait_until_current(root)
        assert ProjectFolder(root).lake.versions.latest("two").n_images == 41
