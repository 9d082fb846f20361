"""`python -m benchmarks [NAME …] [--keep FOLDER]`: measure, print, and write RESULTS.md."""

from __future__ import annotations

import argparse
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
from benchmarks.measure import Row, machine
from benchmarks.peers import spare_torchvision
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
COLUMNS = ("what was measured", "ours", "peer or limit", "ratio", "target", "", "remarks")
RESULTS = Path(__file__).with_name("RESULTS.md")


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
        results = _measure(chosen, Path(tempfile.mkdtemp(prefix="run-", dir=arguments.keep)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            results = _measure(chosen, Path(folder))
    minutes = (time.monotonic() - started) / 60
    if len(chosen) == len(BENCHMARKS):
        RESULTS.write_text(_markdown(results, minutes), encoding="utf-8")
        print(f"{minutes:.1f} minutes; written to benchmarks/{RESULTS.name}")
    else:
        print(f"{minutes:.1f} minutes; {RESULTS.name} is left as it is, because only a whole run is comparable")


def _measure(names: list[str], folder: Path) -> dict[str, list[Row]]:
    world, results = World(folder.resolve()), {}
    console = Console() if Console().is_terminal else Console(width=160)
    for name in names:
        console.print(f"[bold]{name}[/bold]: {BENCHMARKS[name].__doc__}", highlight=False)
        started = time.monotonic()
        try:
            results[name] = BENCHMARKS[name].run(world)
        except Exception as error:  # noqa: BLE001 (whatever it is)
            # The others take half an hour, and are worth having.
            console.print_exception()
            results[name] = [Row("failed", f"{type(error).__name__}: {error}", "", "", "runs", met=False)]
        table = Table(*COLUMNS, show_lines=True)
        for row in results[name]:
            table.add_row(*_cells(row))
        console.print(table, highlight=False)
        console.print(f"{time.monotonic() - started:.0f} s", highlight=False)
    return results


def _cells(row: Row) -> list[str]:
    return [row.what, row.ours, row.other, row.ratio, row.target, row.verdict, row.note]


def _markdown(results: dict[str, list[Row]], minutes: float) -> str:
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks`; what each row means is in [README.md](README.md).",
        "",
    ]
    lines += [f"- {fact}" for fact in machine()]
    lines += [f"- Measured in one run of {minutes:.0f} minutes. Rows without a target are context.", ""]
    for name, rows in results.items():
        lines += [f"## {name}", "", (BENCHMARKS[name].__doc__ or "").strip(), ""]
        if not rows:
            lines += ["Not measured: the peer was not installed.", ""]
            continue
        lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
        lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
