"""Commands that compute: run and calibrate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from dna_pipelines.cli.app import (
    DATASETS,
    FAILED,
    INCOMPLETE,
    NETWORKS,
    OK,
    app,
    exit_code,
    project_of,
    require_datasets,
)
from dna_pipelines.cli.options import Json, Yes, dataset_names, extractor_names
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, require_yes, say, show_json, show_table, shown
from dna_pipelines.project.problem import Problem
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.update.forecast import Estimate, Forecast
    from dna_pipelines.update.report import DatasetReport, RunReport


@app.command(rich_help_panel=DATASETS)
def run(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Datasets; by default all.", autocompletion=dataset_names)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done, and about how long it takes.")
    ] = False,
    json: Json = False,
) -> None:
    """Update all fingerprints and distances, computing only what changed."""
    project = project_of(context)
    require_datasets(project)
    if dry_run:
        planned = run_with_progress(project.forecast, *(names or ()))
        expected = planned.forecast
        _note_networks(expected)
        if json:
            show_json(planned.to_json())
        else:
            _show_forecast(expected)
        code = exit_code(_status(item.problem) for item in expected.datasets)
        raise typer.Exit(code or (INCOMPLETE if expected.missing else OK))
    updated = run_with_progress(project.update, *(names or ()))
    report = updated.report
    if updated.pruned and updated.pruned.n_removed:
        note(f"pruned to keep_versions: removed {updated.pruned}")
    if json:
        show_json(updated.to_json())
    else:
        _show_report(report)
    raise typer.Exit(FAILED if report.problems else exit_code(_status(one.problem) for one in report.datasets))


@app.command(rich_help_panel=NETWORKS)
def calibrate(
    context: typer.Context,
    extractor: Annotated[
        str, typer.Argument(help="An extractor of the datasets file.", autocompletion=extractor_names)
    ],
    on: Annotated[
        list[str] | None,
        typer.Option(
            help="A dataset to measure them on. Repeatable. Default: what the extractor's entry says.",
            metavar="NAME",
            show_default=False,
            autocompletion=dataset_names,
        ),
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Measure an extractor's activation ranges again. All its DNAs are then recomputed by the next run."""
    from dna_pipelines.api.project.extractors import require_calibratable

    project = project_of(context)
    require_calibratable(project.folder, extractor, on or ())
    if not yes:
        require_yes(f"All DNAs of {extractor} will have to be recomputed. Continue?")
    run_with_progress(project.calibrate, extractor, on=on or ())
    if json:
        show_json({"extractor": extractor, "on": on or []})
    else:
        say(f"measured the activation ranges of {extractor}; `dna run` recomputes its DNAs")


def _status(problem: Problem | None) -> str:
    return problem.status if problem else ""


def _show_report(report: RunReport) -> None:
    state = "not everything is up to date" if report.failed or report.problems else "everything is up to date"
    say((f"{state} ({report.duration_s:.1f} s)", "bold"))
    columns = ("dataset", "images", "quarantined", "extracted", "shards", "why")
    rows = [_row(dataset) for dataset in report.datasets]
    show_table(None, columns, rows, columns[1:4], words=("shards", "why"), optional=("quarantined", "shards"))
    for name in report.calibrated:
        say(f"{name}: activation ranges measured and stored; they stay as they are until `dna calibrate`")
    for name, times in report.extractions.items():
        say(f"{name}: {times}")
    for name, pairs in report.pairs.items():
        compared = counted(pairs.n_pairs_computed, "pair")
        missing = f"; without a DNA: {', '.join(pairs.left_out)}" if pairs.left_out else ""
        say(f"{name}: {compared} compared, {pairs.n_pairs_reused:,} reused{missing}")
    _show_remarks({dataset.dataset: dataset.remark for dataset in report.datasets})
    for dataset in report.failed:
        note(f"{dataset.dataset}: {dataset.problem}", style="red")
    for problem in report.problems:
        note(str(problem), style="red")


def _show_remarks(remarks: Mapping[str, str]) -> None:
    for name, remark in remarks.items():
        if remark:
            note(f"{name}: {remark}", style="yellow")


def _row(report: DatasetReport) -> list[object]:
    done = report.fingerprints.values()
    shards = {
        "new": sum(one.n_partials_computed for one in done),
        "joined": sum(one.n_partials_merged for one in done),
        "reused": sum(one.n_partials_reused for one in done),
    }
    return [
        report.dataset,
        report.n_images,
        report.n_quarantined,
        sum(one.n_images_extracted for one in done),
        ", ".join(f"{count:,} {what}" for what, count in shards.items() if count) or "none",
        # The problem itself is printed below the table.
        Text(f"{report.problem.status}, see below", style="red") if report.problem else Text(shown(report.why)),
    ]


def _note_networks(expected: Forecast) -> None:
    for name, why in expected.missing.items():
        note(f"extractor {name}: {why}", style="red")
    for name in expected.to_fetch:
        note(f"extractor {name}: its weights are not on this machine; a run fetches them first", style="yellow")


def _show_forecast(expected: Forecast) -> None:
    n_images = sum(sum(item.n_to_extract.values()) for item in expected.datasets)
    say((f"a run would extract {counted(n_images, 'image')}; nothing is computed or stored by --dry-run", "bold"))
    columns = ("dataset", "state", "images", "to extract", "about", "changes")
    show_table(None, columns, [_forecast_row(item) for item in expected.datasets], columns[2:5], words=("changes",))
    _show_remarks({item.name: item.remark for item in expected.datasets})
    if any(item.extraction_s is None and any(item.n_to_extract.values()) for item in expected.datasets):
        note("the duration is known after the first extraction")


def _forecast_row(item: Estimate) -> tuple[object, ...]:
    n_images = sum(item.n_to_extract.values())
    about = "–" if not n_images else "?" if item.extraction_s is None else f"{item.extraction_s:.0f} s"
    changes = ", ".join(f"{count:,} {what}" for what, count in item.changes.items() if count)
    why = str(item.problem) if item.problem else changes or item.occasion
    return item.name, item.state, item.n_images, n_images, about, why
