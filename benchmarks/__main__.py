"""`python -m benchmarks [NAME …] [--keep FOLDER]`: measure, print, and write the sections of RESULTS.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.peers import spare_torchvision
from benchmarks.results import COLUMNS, PATH, cells, put, section
from benchmarks.world import World

BENCHMARKS = (
    "builtin", "decode", "fold", "throughput", "gpu", "matrix", "significance", "attribution", "duplicates", "views",
    "unchanged", "memory", "races", "scale", "words", "orchestration", "updates",
)  # fmt: skip
"""Modules, each imported when it runs: a machine with a GPU need not have the packages of the others.

The last two change the tree that the others share.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; by default all")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write scratch data there, and keep it")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; the benchmarks are: {', '.join(BENCHMARKS)}")
    chosen = [name for name in BENCHMARKS if not arguments.names or name in arguments.names]
    started = time.monotonic()
    spare_torchvision()
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        missing = _measure(chosen, Path(tempfile.mkdtemp(prefix="run-", dir=arguments.keep)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            missing = _measure(chosen, Path(folder))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes; written to benchmarks/{PATH.name}")
    if missing:
        sys.exit(f"not measured, so their sections are unchanged: {', '.join(missing)}")


def _measure(names: list[str], folder: Path) -> list[str]:
    """Run benchmarks; the names of those without results."""
    world = World(folder.resolve())
    console = Console() if Console().is_terminal else Console(width=160)
    missing = []
    for name in names:
        module = import_module(f"benchmarks.{name}")
        about = module.__doc__ or ""
        console.print(f"[bold]{name}[/bold]: {about}", highlight=False)
        started, rows, failed = time.monotonic(), [], False
        try:
            # Some yield their rows one by one.
            for row in module.run(world):
                rows.append(row)
                console.print(f"  {row.what}: {row.ours}; {row.ratio}", highlight=False)
        except Exception:  # noqa: BLE001 (whatever it is)
            # The results of the others are still written.
            console.print_exception()
            failed = True
        if failed or not rows:
            missing.append(name)
            continue
        seconds = time.monotonic() - started
        table = Table(*COLUMNS, show_lines=True)
        for row in rows:
            table.add_row(*cells(row))
        console.print(table, highlight=False)
        console.print(f"{seconds:.0f} s", highlight=False)
        before = PATH.read_text(encoding="utf-8") if PATH.exists() else ""
        PATH.write_text(put(before, name, section(name, about, rows, seconds), list(BENCHMARKS)), encoding="utf-8")
    return missing


if __name__ == "__main__":
    main()
