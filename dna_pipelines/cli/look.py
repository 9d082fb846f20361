"""Commands that show what is there: status, matrix, sql."""

from __future__ import annotations

from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from dna_pipelines.analysis.matrix import find_matrix
from dna_pipelines.cli.app import COMPARE, DATASETS, FAILED, app, project_of
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.terminal import TerminalProgress, note, out, save, show_json, show_table, shown, size_text
from dna_pipelines.comparison.metrics import METRICS
from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import LakeError, UserError
from dna_pipelines.project.current import publish
from dna_pipelines.project.project import ProjectFolder

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ExtractorName = Annotated[
    str | None, typer.Option("--extractor", help="One of the datasets file; its first by default.", show_default=False)
]
Picture = Annotated[Path | None, typer.Option(help="Save a picture (PNG) here.", show_default=False)]
SelectionName = Annotated[
    str | None, typer.Option(help="NAME or NAME@2: over its neurons, see `dna select`.", show_default=False)
]
Metric = StrEnum("Metric", {metric.name: metric.name for metric in METRICS})  # type: ignore[misc]

_MARKS = "≈: no more than chance; !: more, but in doubt; ?: not tested (p corrected for all pairs, at 5 %)"


@app.command(rich_help_panel=DATASETS)
def status(context: typer.Context, json: Json = False) -> None:
    """Show what the last run left, without looking at the datasets' places."""
    project = project_of(context)
    extractors = [extractor.name for extractor in project.config().extractors]
    # What is wrong with the whole lake is told once.
    _ = project.lake
    facts = [_dataset_status(project, dataset) for dataset in project.config().datasets]
    if json:
        show_json(facts)
    else:
        _show_status(facts, extractors)
    if any(row["problem"] for row in facts):
        raise typer.Exit(FAILED)


def _show_status(facts: list[dict[str, Any]], extractors: list[str]) -> None:
    sampled = any(row["n_not_sampled"] for row in facts)
    rows = [
        (
            row["dataset"], row["n_images"], row["n_quarantined"], *([row["n_not_sampled"]] if sampled else []),
            row["n_shards"],
            size_text(row["size_bytes"]),
            row["last_change"] or ("damaged" if row["problem"] else "never scanned"),
            *(row["dna"][name] for name in extractors),
        )
        for row in facts
    ]  # fmt: skip
    numbers = ("images", "left out", *(["not sampled"] if sampled else []), "shards", "size")
    show_table(None, ("dataset", *numbers, "last change", *extractors), rows, numbers)
    for row in facts:
        if row["held_back"]:
            note(f"{row['dataset']}: {row['held_back']}", style="yellow")
        if row["problem"]:
            note(f"{row['dataset']}: {row['problem']}", style="red")
    if any(state not in ("current", "held back", "") for row in facts for state in row["dna"].values()):
        note("`dna run` brings everything up to date")


def _dataset_status(project: ProjectFolder, dataset: DatasetConfig) -> dict[str, Any]:
    from dna_pipelines.update.plan import dna_state, held_back

    extractors, problem = project.config().extractors, None
    try:
        latest = project.lake.versions.latest(dataset.name)
        dna: dict[str, str] = {one.name: dna_state(project, dataset, one) for one in extractors}
    except LakeError as error:
        latest, dna, problem = None, {one.name: "" for one in extractors}, str(error)
    return {
        "dataset": dataset.name,
        "n_images": latest.n_images if latest else None,
        "n_quarantined": latest.n_quarantined if latest else None,
        "n_not_sampled": latest.n_not_sampled if latest else None,
        "n_shards": len(latest.shards) if latest else None,
        "size_bytes": latest.n_bytes if latest else None,
        "version_id": latest.version_id if latest else None,
        "commit": latest.seq if latest else None,
        "last_change": latest.created_at if latest else None,
        "dna": dna,
        "held_back": held_back(project, dataset.name) if "held back" in dna.values() else None,
        "problem": problem,
    }


@app.command(rich_help_panel=COMPARE)
def matrix(
    context: typer.Context,
    extractor: ExtractorName = None,
    metric: Annotated[Metric, typer.Option(help="What to show.")] = Metric.emd_bins,  # type: ignore[attr-defined]
    selection: SelectionName = None,
    significance: Annotated[
        bool, typer.Option("--significance", help="Test every pair, and mark those that differ no more than by chance.")
    ] = False,
    picture: Picture = None,
    json: Json = False,
) -> None:
    """Show the distances between all datasets."""
    project = project_of(context)
    name = project.extractor_name(extractor)
    if selection is None:
        found = find_matrix(project, name, str(metric))
    else:
        from dna_pipelines.analysis.matrix import steered_matrix

        found = interruptible(
            lambda steps: steered_matrix(project, name, str(metric), selection, steps), TerminalProgress(), note
        )
    judged = _judged(project, found.extractor, selection) if significance else []
    marks = {pair: mark for one in judged for pair in ((one.a, one.b), (one.b, one.a)) if (mark := _mark(one))}
    if picture:
        from dna_pipelines.reporting.pictures import matrix_picture

        save(picture, matrix_picture(found, marks, _MARKS if significance else ""))
    if json:
        show_json({**found.to_json(), **({"pairs": [one.to_json() for one in judged]} if significance else {})})
        return
    if not found.names:
        raise UserError(f"no two datasets have a DNA of {found.extractor} yet; run `dna run`")
    short = [str(place + 1) for place in range(len(found.names))]
    rows = [
        (
            short[place], name,
            *(
                "·" if name == other else marks.get((name, other), "") + _number(value)
                for other, value in zip(found.names, values, strict=True)
            ),
        )
        for place, (name, values) in enumerate(zip(found.names, found.values, strict=True))
    ]  # fmt: skip
    show_table(found.title, ("", "dataset", *short), rows, ("", *short))


def _judged(project: ProjectFolder, extractor: str, selection: str | None) -> list[Any]:
    """Every pair tested; what the marks mean is said."""
    from dna_pipelines.analysis.significance.all_pairs import judge_all

    judged = interruptible(
        lambda steps: judge_all(project, extractor, selection=selection, progress=steps), TerminalProgress(), note
    )
    if n_extracted := sum(one.judgement.n_images_extracted for one in judged):
        note(f"{n_extracted:,} images extracted for samples of far larger datasets, whose DNAs are kept from now on")
    alike = sum(one.differs is False for one in judged)
    unknown = [one for one in judged if one.differs is None]
    note(
        f"{alike:,} of {len(judged):,} pairs differ no more than by chance (marked ≈; p corrected for all pairs after "
        "Benjamini and Yekutieli, at 5 %)"
    )
    if unknown:
        first = unknown[0]
        note(
            f"{len(unknown):,} could not be tested (marked ?), such as {first.a} and {first.b}: "
            f"{first.judgement.why_not or first.judgement.in_words}",
            style="yellow",
        )
    if in_doubt := [one for one in judged if one.judgement.doubts]:
        first = in_doubt[0]
        note(
            f"{len(in_doubt):,} are in doubt (marked ! where they differ), such as {first.a} and {first.b}: "
            f"{'; '.join(first.judgement.doubts)}",
            style="yellow",
        )
    return judged


def _mark(one: Any) -> str:
    differs = "! " if one.judgement.doubts else ""
    return {True: differs, False: "≈ ", None: "? "}[one.differs]


def _number(value: float) -> str:
    return "?" if isnan(value) else f"{value:.3g}"


@app.command(rich_help_panel=COMPARE)
def sql(
    context: typer.Context,
    query: Annotated[str | None, typer.Argument(help="A DuckDB statement; without one, the views are listed.")] = None,
    json: Json = False,
    limit: Annotated[int, typer.Option(help="Most rows to show (JSON gives all).", min=1)] = 40,
    about: Annotated[str | None, typer.Option(help="Say what the columns of a view mean.", metavar="VIEW")] = None,
) -> None:
    """Query the lake with DuckDB.

    For example: dna sql "SELECT dataset, reason, count(*) FROM quarantine GROUP BY ALL"
    """
    project = project_of(context)
    publish(project)
    if about is not None and query is not None:
        raise UserError("--about says what the columns of a view mean; leave out the statement")
    if about is not None:
        _show_columns(project, about, json=json)
        return
    if query is None:
        _show_views(project, json=json)
        return
    columns, rows = project.catalog.query(query)
    if json:
        if alike := sorted({name for name in columns if columns.count(name) > 1}):
            raise UserError(f"more than one column is called '{alike[0]}'; JSON needs a name for each (… AS name)")
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    if columns:
        show_table(
            None,
            columns,
            # What DuckDB explains is drawn over several lines.
            [[Text(shown(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows[:limit]],
            [
                name
                for name, *values in zip(columns, *rows[:1], strict=False)
                if values and isinstance(values[0], int | float)
            ],
        )
        more = f", of which {limit} are shown (--limit)" if len(rows) > limit else ""
        note(f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'}{more}")
    if not columns or columns == ["Count"]:
        note("what statements make is kept for the next ones of the same command, separated by ;, and not longer")


def _show_views(project: ProjectFolder, *, json: bool) -> None:
    views = project.catalog.views()
    if json:
        show_json([{"view": view, "comment": comment, "columns": columns} for view, comment, columns in views])
        return
    for view, comment, columns in views:
        out.print(f"[bold]{view}[/]  {comment}", soft_wrap=True)
        out.print(f"  {', '.join(columns)}", markup=False, soft_wrap=True)
    note("dna sql --about VIEW says what its columns mean")
    note(f'the same views in a duckdb shell: duckdb -readonly "{project.catalog.database}"')


def _show_columns(project: ProjectFolder, view: str, *, json: bool) -> None:
    columns = project.catalog.columns(view)
    if json:
        show_json([column._asdict() for column in columns])
        return
    show_table(None, ["column", "type", "what it is"], columns, [])
