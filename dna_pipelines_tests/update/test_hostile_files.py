"""A whole run over files that are no proper images: none ends it, and each has its line in the manifest."""

import json
import os
import random
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dna_pipelines.cli.main  # noqa: F401 (its import registers the commands)
from dna_pipelines.cli.app import app
from dna_pipelines.errors import CheckFailed
from dna_pipelines.manifests import file_rows
from dna_pipelines.manifests.manifest import OK, QUARANTINED
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests.imaging.hostile import REASONS, hostile_files
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import toy_project, write_image

LONG_AGO = 1_700_000_000
SLOWEST_S = 10
"""For one file, on a machine that does other things too; most take a thousandth of that."""
MOST_MEMORY_KB = 400_000
"""More than before the run, while it decodes on several threads."""

DATASETS = """\
version: 1
workers: 2
extractors:
  - name: toy
    batch_size: 8
    calibrate_on: [sound]
datasets:
  - name: sound
    uri: sound
  - name: folder
    uri: folder
    checks: {max_unreadable: 1.0, max_clipped: 1.0}
  - name: archive
    uri: archive.zip
    checks: {max_unreadable: 1.0, max_clipped: 1.0}
"""


def write_folder(folder, files):
    """The files in three folders, and links that go round in circles; gives the expected outcomes by path."""
    expected = {}
    for index, (name, suffix, data, outcome) in enumerate(files):
        path = (b"", b"deep/er/", b"caf\xe9 'x'\n/")[index % 3] + name + b"." + suffix
        place = os.path.join(os.fsencode(folder), path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(data)
        os.utime(place, (LONG_AGO, LONG_AGO))
        expected[path] = outcome
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "one.jpg").symlink_to("other.jpg")
    (folder / "other.jpg").symlink_to("one.jpg")
    (folder / "nowhere.png").symlink_to("not-there.png")
    (folder / "deep" / "up").symlink_to("..")
    (folder / "here").symlink_to(".")
    os.mkfifo(folder / "pipe.png")
    odd = (b"itself.png", b"one.jpg", b"other.jpg", b"nowhere.png", b"pipe.png")
    return expected | dict.fromkeys(odd, "cannot be read")


def write_archive(path, files):
    """The files as members, some of which would like to lie elsewhere."""
    expected = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for index, (name, suffix, data, outcome) in enumerate(files):
            lead = ("", "../", "../../../", "/", "a/../../", "//host/share/", "C:\\")[index % 7]
            member = lead + f"member{index}-" + name.decode("utf-8", "replace") + "." + suffix.decode()
            archive.writestr(member, data)
            expected[member.replace("\\", "/").encode()] = outcome
    return expected


def by_command(root):
    """`dna run`: for each dataset the images it has, those it left out, and those that went through the network."""
    result = CliRunner().invoke(app, ["--root", str(root), "run", "--json"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    reports = json.loads(result.stdout)["datasets"]
    return {
        report["dataset"]: (
            report["n_images"],
            report["n_quarantined"],
            report["fingerprints"]["toy"]["n_images_extracted"],
        )
        for report in reports
    }


def by_steps(root):
    """The same without Dagster, whose start takes longer than everything else here."""
    project = ProjectFolder(root)
    config, found = project.config(), {}
    commits = {dataset.name: refresh(project, dataset).commit for dataset in config.datasets}
    ensure_ranges(project, config.extractors[0])
    for dataset in config.datasets:
        commit, fitted = commits[dataset.name], fit(project, dataset, config.extractors[0])
        found[dataset.name] = (commit.n_images, commit.n_quarantined, fitted.work.n_images_extracted)
    return found


def peak_kb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


@pytest.fixture
def seconds(monkeypatch):
    """How long the decoding of each file took."""
    taken = []
    original = file_rows.decode_with_info

    def timed(data):
        started = time.perf_counter()
        try:
            return original(data)
        finally:
            taken.append(time.perf_counter() - started)

    monkeypatch.setattr(file_rows, "decode_with_info", timed)
    return taken


@pytest.mark.parametrize(
    ("n_files", "seed", "run"), [(60, 1, by_steps), pytest.param(2000, 2, by_command, marks=pytest.mark.campaign)]
)
def test_every_file_is_read_or_quarantined_with_its_reason(tmp_path, seconds, n_files, seed, run):
    chance = random.Random(seed)
    root, outside = tmp_path / "in" / "side" / "project", set(os.listdir(tmp_path))
    for number in range(4):
        write_image(root / "sound", f"{number}.png", number)
    (root / "data").mkdir()
    (root / "data" / "datasets.yaml").write_text(DATASETS)
    files = list(hostile_files(n_files, chance))
    expected = {
        "folder": write_folder(root / "folder", files),
        "archive": write_archive(root / "archive.zip", files[:: 1 if n_files < 100 else 4]),
    }
    before = set(os.listdir(root)), peak_kb()
    forget_peak()
    found = run(root)
    grown_kb = peak_kb() - before[1]

    versions, outcomes = ProjectFolder(root).lake.versions, Counter()
    for name, wanted in expected.items():
        rows = versions.manifest(versions.latest(name)).by_path
        assert set(rows) == set(wanted)
        for path, row in rows.items():
            if row.status == OK:
                assert None not in (row.digest, row.shard_id, row.block, row.width_px, row.height_px)
                outcome = "decoded"
            else:
                assert row.status == QUARANTINED
                assert row.reason in REASONS | {"cannot be read"}
                assert row.detail
                outcome = row.reason
            assert wanted[path] in (None, outcome), (path, row.reason, row.detail)
            outcomes[outcome] += 1
        n_read = sum(row.status == OK for row in rows.values())
        assert found[name][:2] == (n_read, len(rows) - n_read)
    # The archive's images are among the folder's, so they may be the same shards.
    assert found["folder"][2] > 0
    # Worth something only where it comes to all of these.
    assert set(outcomes) >= {"decoded", "empty", "not an image", "unsupported", "corrupt", "too large"}
    assert n_files < 1000 or "truncated" in outcomes
    assert max(seconds) < SLOWEST_S
    assert grown_kb < MOST_MEMORY_KB
    # Members of an archive are read in place, whatever their names ask for.
    assert set(os.listdir(root)) == before[0]
    assert set(os.listdir(tmp_path)) == outside | {"in"}
    assert os.listdir(tmp_path / "in") == ["side"]

    assert [extracted for _, _, extracted in run(root).values()] == [0, 0, 0]


@pytest.mark.parametrize(("bound", "blocked"), [(0.39, True), (0.4, False)])
def test_beyond_the_bound_a_check_blocks_a_dataset_with_numbers_and_advice(tmp_path, bound, blocked):
    """Four of ten files cannot be read."""
    settings = f"checks: {{max_unreadable: {bound}}}"
    project = toy_project(tmp_path, {"mixed": {f"{number}.png": number for number in range(6)}}, settings)
    for number in range(4):
        (tmp_path / "images" / "mixed" / f"text{number}.png").write_text(f"no image {number}")
    dataset, extractor = project.file.dataset("mixed"), project.config().extractors[0]
    refresh(project, dataset)
    ensure_ranges(project, extractor)
    if not blocked:
        assert fit(project, dataset, extractor).work.n_images_extracted == 6
        return
    with raises(CheckFailed, "check.blocked", dataset="mixed") as caught:
        fit(project, dataset, extractor)
    # The numbers, and what the user has to type.
    for part in ("4 of 10", "40.0%", "39.0%", "`dna scan mixed`", "checks.max_unreadable"):
        assert part in caught.value.facts["reason"]
