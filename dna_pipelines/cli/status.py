"""The command that shows what is stored: status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from dna_pipelines.cli.app import DATASETS, app, exit_code, project_of
from dna_pipelines.cli.options import Json
from dna_pipelines.cli.terminal import note, say, show_json, show_table, size_text


@app.command(rich_help_panel=DATASETS)
def status(context: typer.Context, json: Json = False) -> None:
    """Show the state of every dataset as of the last run.

    Locations are not scanned, but one on this machine that does not exist is reported.
    """
    project = project_of(context)
    facts = project.status().rows
    extractors = [extractor.name for extractor in project.folder.config().extractors]
    if json:
        show_json(facts)
    else:
        _show_status(facts, extractors)
    raise typer.Exit(exit_code("failed" if row["problem"] else "blocked" if row["blocked"] else "" for row in facts))


def _show_status(facts: Sequence[Mapping[str, Any]], extractors: list[str]) -> None:
    stale = [row for row in facts if row["problem"] or not set(row["dna_states"].values()) <= {"current", "empty"}]
    say(f"{len(facts) - len(stale):,} of {len(facts):,} datasets are up to date")
    sampled = any(row["n_not_sampled"] for row in facts)
    rows = [
        (
            row["dataset"], row["n_images"], *(row["dna_states"][name] for name in extractors), row["n_quarantined"],
            *([row["n_not_sampled"]] if sampled else []),
            row["last_change"] or ("damaged" if "" in row["dna_states"].values() else "never scanned"),
            row["n_shards"],
            size_text(row["size_bytes"]),
        )
        for row in facts
    ]  # fmt: skip
    extra = (*(["not sampled"] if sampled else []), "last change", "shards", "size")
    numbers = ("images", "quarantined", "not sampled", "shards", "size")
    show_table(None, ("dataset", "images", *extractors, "quarantined", *extra), rows, numbers, optional=extra)
    for row in facts:
        if row["blocked"]:
            note(f"{row['dataset']} is blocked by a check: {row['blocked']}", style="yellow")
        if row["problem"]:
            note(f"{row['dataset']}: {row['problem']}", style="red")
    if any(state not in ("current", "blocked", "") for row in facts for state in row["dna_states"].values()):
        note("`dna run` updates what is not current")
