"""A run with nothing to do, against a bare walk over the same tree."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.measure import Rounds, Row, alternate, ms, python_path
from benchmarks.world import N_FOLDERS, N_IMAGES, World

TARGET = 8.0


def run(world: World) -> list[Row]:
    project, _ = world.fitted
    tree = str(world.images)
    # A process of its own, with nothing imported but what `dna run` needs to find that nothing is to do.
    child = [sys.executable, "-m", "benchmarks.unchanged_child", str(project.root), tree]
    rounds = Rounds(json.loads(_call(child)))
    command = [sys.executable, "-m", "dna_pipelines.cli.main", "--root", str(project.root), "run"]
    bare = [sys.executable, "-c", f"import os\nfor _ in os.walk({tree!r}): pass"]
    processes = alternate(7, dna=lambda: _call(command), python=lambda: _call(bare))
    ratio = rounds.ratio("ours", "walk")
    what = f"{N_IMAGES:,} files in {N_FOLDERS} folders, nothing changed, warm"
    stat_share = rounds.ratio("stat", "walk")
    return [
        Row(
            f"{what}: plan and report (`make_plan`, `nothing_done`) in process",
            ms(rounds.median("ours")),
            f"{ms(rounds.median('walk'))} (`os.walk`)",
            f"{ratio:.1f}x as long",
            f"<= {TARGET:.0f}x",
            ratio <= TARGET,
            f"{rounds.spread('ours', 'walk')}; asking each file for its size and time, without which no change "
            f"is seen, takes {stat_share:.1f}x by itself (`os.scandir`, `DirEntry.stat`)",
        ),
        Row(
            "the same against a walk that asks for size and time too (`os.walk`, `os.stat`)",
            ms(rounds.median("ours")),
            ms(rounds.median("walk_and_stat")),
            f"{rounds.ratio('ours', 'walk_and_stat'):.1f}x as long",
            note=rounds.spread("ours", "walk_and_stat"),
        ),
        Row(
            "`Project.publish`, which `dna run` calls as well (registry and SQL catalog)",
            ms(rounds.median("publish")),
            f"{ms(rounds.median('walk'))} (`os.walk`)",
            f"{rounds.ratio('publish', 'walk'):.1f}x as long",
        ),
        Row(
            "the whole process: `dna run` against `python -c` with an `os.walk`",
            ms(processes.median("dna")),
            ms(processes.median("python")),
            f"{processes.ratio('dna', 'python'):.1f}x as long",
            note=f"{processes.spread('dna', 'python')}; most of it is importing packages",
        ),
    ]


def _call(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env=python_path()).stdout
