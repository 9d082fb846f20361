"""Killed, interrupted and simultaneous runs, as processes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dna_pipelines.project.current import publish
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.cli.conftest import invoke
from dna_pipelines_tests.toy import image_bytes

N_IMAGES = 150


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A project of three datasets, one of which was fitted before and has since changed."""
    root = tmp_path_factory.mktemp("template")
    lines = ["version: 1", "datasets:"]
    for place, name in enumerate(("first", "second", "third")):
        (root / "images" / name).mkdir(parents=True)
        lines += [f"  - {{name: {name}, uri: images/{name}, shard_size: 40}}"]
        for number in range(N_IMAGES // 3):
            (root / "images" / name / f"{number:03d}.png").write_bytes(image_bytes(1000 * place + number))
    (root / "data").mkdir()
    (root / "data" / "datasets.yaml").write_text("\n".join(lines) + "\n")
    assert invoke("--root", root, "run", "third").code == 0
    for number in range(15):
        (root / "images" / "third" / f"new{number}.png").write_bytes(image_bytes(9000 + number))
    (root / "images" / "third" / "003.png").unlink()
    return root


@pytest.fixture(scope="module")
def undisturbed(template, tmp_path_factory):
    root = copied(template, tmp_path_factory.mktemp("undisturbed"))
    started = time.monotonic()
    process = start(root, "run")
    _, err = process.communicate(timeout=120)
    duration_s = time.monotonic() - started
    assert process.returncode == 0, err
    return contents(root), duration_s


def copied(template, folder):
    root = folder / "project"
    shutil.copytree(template, root, copy_function=shutil.copy2)
    return root


def start(root, *arguments):
    command = [sys.executable, "-m", "dna_pipelines.cli.main", "--root", str(root), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def contents(root):
    """What the lake says: every DNA of the current versions, the distances, the versions."""
    project = ProjectFolder(root)
    folder = project.lake.layout.root / "dna"
    found = {}
    for record in project.lake.fingerprints.dna_records():
        tables = ("histogram", "blocks", "moments", "covariance")
        found[record.dna_id] = [
            pq.read_table(folder / table / f"{record.dna_id}.parquet").to_pydict() for table in tables
        ]
    publish(project)
    # DuckDB adds up in parallel, so the last bits of its means vary.
    rounded = (
        "round(emd_bins, 9) AS emd_bins, round(emd_range, 12) AS emd_range, round(nfd, 9) AS nfd, round(fd, 6) AS fd"
    )
    matrix = project.catalog.rows(f"SELECT * REPLACE ({rounded}) FROM matrix ORDER BY ALL")
    versions = project.catalog.rows("SELECT dataset, version_id, n_images FROM datasets ORDER BY ALL")
    return {"dnas": found, "matrix": matrix, "versions": versions}


def kill_at(root, moment_s):
    process = start(root, "run")
    try:
        process.communicate(timeout=moment_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def whole_files_only(root):
    """Every file with a name that readers look for can be read to its end."""
    for path in (Path(root) / "data" / "lake").rglob("*"):
        if path.suffix == ".parquet" and not path.name.startswith("."):
            pq.ParquetFile(path, page_checksum_verification=True).read()
        elif path.suffix == ".json" and not path.name.startswith("."):
            json.loads(path.read_text())


def killed_then_run_again(template, undisturbed, folder, seed):
    expected, duration_s = undisturbed
    root, rng = copied(template, folder), random.Random(seed)
    for _ in range(rng.randint(1, 2)):
        # The first seconds are imports; most moments should hit the work behind them.
        kill_at(root, rng.uniform(0.25, 1.0) * duration_s)
        whole_files_only(root)
    assert invoke("--root", root, "run").code == 0
    assert contents(root) == expected


@pytest.mark.campaign
def test_a_killed_run_is_made_good_by_the_next(template, undisturbed, tmp_path):
    killed_then_run_again(template, undisturbed, tmp_path, seed=0)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 120))
def test_kills_at_many_random_moments(template, undisturbed, tmp_path, seed):
    killed_then_run_again(template, undisturbed, tmp_path, seed)


@pytest.mark.campaign
def test_two_runs_at_once_agree_and_neither_fails(template, undisturbed, tmp_path):
    root = copied(template, tmp_path)
    # Both also make a new Dagster home.
    shutil.rmtree(root / "data" / "dagster")
    processes = [start(root, "run") for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
    assert contents(root) == undisturbed[0]


def interrupted_then_run_again(template, undisturbed, folder, wait_s):
    root = copied(template, folder)
    process = start(root, "run")
    deadline = time.monotonic() + 60
    # Into the work, where there is something to lose.
    while not list((root / "data" / "lake").glob("datasets/second/commits/*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(wait_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    # One note at the signal, one at the end.
    assert len(err.strip().splitlines()) >= 2, err
    assert "Traceback" not in err
    assert invoke("--root", root, "run").code == 0
    assert contents(root) == undisturbed[0]


@pytest.mark.campaign
def test_ctrl_c_says_what_is_kept_and_the_next_run_goes_on(template, undisturbed, tmp_path):
    interrupted_then_run_again(template, undisturbed, tmp_path, 0.3)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(30))
def test_ctrl_c_at_many_random_moments(template, undisturbed, tmp_path, seed):
    interrupted_then_run_again(template, undisturbed, tmp_path, random.Random(seed).uniform(0, 1))
