"""The entry point of the `dna` command."""

from __future__ import annotations

# Each adds its commands.
from dna_pipelines.cli import (  # noqa: F401
    compare,
    datasets,
    duplicates,
    exchange,
    extractors,
    images,
    inspect,
    look,
    metrics,
    profile,
    run,
    select,
    tools,
)
from dna_pipelines.cli import map as _map  # noqa: F401
from dna_pipelines.cli.app import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
