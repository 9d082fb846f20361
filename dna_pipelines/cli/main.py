"""The entry point of the `dna` command."""

from __future__ import annotations

from dna_pipelines.cli import compare, datasets, exchange, extractors, look, profile, run, tools  # noqa: F401 (each adds its commands)
from dna_pipelines.cli.app import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
