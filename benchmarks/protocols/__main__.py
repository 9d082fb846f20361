"""`python -m benchmarks.protocols NAME [--extractor NAME]`: run one protocol and print its table."""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

# A protocol is a module beside this one with `run(extractor)`, which gives the columns and the rows of a table.
PROTOCOLS = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols", description=__doc__)
    parser.add_argument("name", choices=PROTOCOLS)
    parser.add_argument("--extractor", default="seeded_cnn", help="any network that `dna extractors` lists")
    arguments = parser.parse_args()
    module = importlib.import_module(f"benchmarks.protocols.{arguments.name}")
    started = time.monotonic()
    columns, rows = module.run(arguments.extractor)
    table = Table(*columns, title=f"{arguments.name}, {arguments.extractor}: {module.__doc__}")
    for row in rows:
        table.add_row(*row)
    console = Console() if Console().is_terminal else Console(width=160)
    console.print(table, highlight=False)
    console.print(f"{time.monotonic() - started:.0f} s", highlight=False)


if __name__ == "__main__":
    main()
