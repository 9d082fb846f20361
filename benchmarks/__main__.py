"""`python -m benchmarks [NAME …] [--keep FOLDER]`: measure, print, and write the sections of RESULTS.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    attribution,
    builtin,
    decode,
    duplicates,
    fold,
    gpu,
    matrix,
    memory,
    orchestration,
    races,
    scale,
    significance,
    throughput,
    unchanged,
    updates,
    views,
    words,
)
from benchmarks.peers import spare_torchvision
from benchmarks.results import COLUMNS, PATH, cells, put, section
from benchmarks.world import World

# The last two change the tree that the others share.
BENCHMARKS = {
    "builtin": builtin,
    "decode": decode,
    "fold": fold,
    "throughput": throughput,
    "gpu": gpu,
    "matrix": matrix,
    "significance": significance,
    "attribution": attribution,
    "duplicates": duplicates,
    "views": views,
    "unchanged": unchanged,
    "memory": memory,
    "races": races,
    "scale": scale,
    "words": words,
    "orchestration": orchestration,
    "updates": updates,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all where none is named")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="put scratch data there, and leave it there")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    chosen = [name for name in BENCHMARKS if not arguments.names or name in arguments.names]
    started = time.monotonic()
    spare_torchvision()
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        lacking = _measure(chosen, Path(tempfile.mkdtemp(prefix="run-", dir=arguments.keep)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            lacking = _measure(chosen, Path(folder))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes; written to benchmarks/{PATH.name}")
    if lacking:
        sys.exit(f"not measured, and left as they were there: {', '.join(lacking)}")


def _measure(names: list[str], folder: Path) -> list[str]:
    """Those of which there was nothing to write."""
    world = World(folder.resolve())
    console = Console() if Console().is_terminal else Console(width=160)
    lacking = []
    for name in names:
        about = BENCHMARKS[name].__doc__ or ""
        console.print(f"[bold]{name}[/bold]: {about}", highlight=False)
        started = time.monotonic()
        try:
            rows = BENCHMARKS[name].run(world)
        except Exception:  # noqa: BLE001 (whatever it is)
            # The others take long, and are worth having.
            console.print_exception()
            rows = []
        if not rows:
            lacking.append(name)
            continue
        seconds = time.monotonic() - started
        table = Table(*COLUMNS, show_lines=True)
        for row in rows:
            table.add_row(*cells(row))
        console.print(table, highlight=False)
        console.print(f"{seconds:.0f} s", highlight=False)
        before = PATH.read_text(encoding="utf-8") if PATH.exists() else ""
        PATH.write_text(put(before, name, section(name, about, rows, seconds), list(BENCHMARKS)), encoding="utf-8")
    return lacking


if __name__ == "__main__":
    main()
