"""The entry point of the `dna` command."""

from __future__ import annotations

import io
import sys

# Importing a module registers its commands.
from dna_pipelines.cli import (  # noqa: F401
    compare,
    datasets,
    duplicates,
    exchange,
    extractors,
    images,
    inspect,
    matrix,
    metrics,
    profile,
    run,
    select,
    sql,
    status,
    tools,
)
from dna_pipelines.cli import map as _map  # noqa: F401
from dna_pipelines.cli.app import app


def main() -> None:
    """Run the command line. What a terminal cannot show, it shows as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
