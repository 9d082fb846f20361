"""The part of `unchanged` that runs in a process of its own; prints seconds as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.measure import alternate
from dna_pipelines.project.current import publish
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.plan import make_plan
from dna_pipelines.update.report import nothing_done


def main(root: Path, tree: str) -> None:
    def ours() -> None:
        # A project of its own each time, as every process has.
        plan = make_plan(ProjectFolder(root))
        if not plan.nothing_to_do:
            raise RuntimeError("something is left to do, so this is not what was to be measured")
        nothing_done(plan)

    rounds = alternate(
        31,
        ours=ours,
        walk=lambda: _walk(tree),
        stat=lambda: _stat(tree),
        walk_and_stat=lambda: _walk_and_stat(tree),
        publish=lambda: publish(ProjectFolder(root)),
    )
    print(json.dumps(rounds.seconds))


def _walk(tree: str) -> None:
    for _ in os.walk(tree):
        pass


def _walk_and_stat(tree: str) -> None:
    for folder, _, names in os.walk(tree):
        for name in names:
            os.stat(os.path.join(folder, name))


def _stat(tree: str) -> None:
    """The least that shows every change: one call for each file, and nothing done with the answer."""
    for folder in os.scandir(tree):
        for item in os.scandir(folder):
            item.stat()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
