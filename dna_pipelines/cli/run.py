"""Commands that compute: run and calibrate."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.text import Text

from dna_pipelines.cli.app import DATASETS, FAILED, INCOMPLETE, NETWORKS, app, project_of, require_datasets
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.terminal import TerminalProgress, note, out, require_yes, show_json, show_table, shown
from dna_pipelines.errors import ConfigError
from dna_pipelines.maintenance.prune import prune_as_configured
from dna_pipelines.manifests.diff import in_words
from dna_pipelines.project.current import publish
from dna_pipelines.project.problem import problem_json
from dna_pipelines.project.progress import counted
from dna_pipelines.update.forecast import Forecast, forecast
from dna_pipelines.update.plan import make_plan
from dna_pipelines.update.report import DatasetReport, RunReport, begin_report, nothing_done


@app.command(rich_help_panel=DATASETS)
def run(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Datasets; all where none is named.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, and about how long it takes.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Bring everything up to date, computing only what changed."""
    project, progress, started = project_of(context), TerminalProgress(), time.monotonic()
    require_datasets(project)
    plan = make_plan(project, tuple(names or ()), progress)
    if dry_run:
        found = forecast(project, plan, progress)
        _show_forecast(found, json=json)
        if found.missing or any(item.problem for item in found.datasets):
            raise typer.Exit(INCOMPLETE)
        return
    if plan.nothing_to_do:
        report = nothing_done(plan)
        publish(project)
        report.duration_s = time.monotonic() - started
    else:
        # Dagster takes a second to import, which a run with nothing to do is spared.
        from dna_pipelines.orchestration.headless import bring_up_to_date

        report = begin_report(plan)
        interruptible(lambda steps: bring_up_to_date(project, plan, report, steps), progress, note)
        if (pruned := prune_as_configured(project)) and pruned.n_removed:
            note(f"beyond keep_versions: removed {pruned}")
    if json:
        show_json(report.to_json())
    else:
        _show_report(report)
    if report.problems or all(one.problem and not one.is_held_back for one in report.datasets):
        raise typer.Exit(FAILED)
    if report.failed:
        raise typer.Exit(INCOMPLETE)


@app.command(rich_help_panel=NETWORKS)
def calibrate(
    context: typer.Context,
    extractor: Annotated[str, typer.Argument(help="One of the extractors of the datasets file.")],
    on: Annotated[
        list[str] | None, typer.Option(help="A dataset to measure them on. Repeatable. Default: what its entry says.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Measure an extractor's activation ranges anew. Every DNA of it is then computed again."""
    from dna_pipelines.orchestration.headless import calibrate_anew

    project = project_of(context)
    config = project.extractor_config(extractor)
    if config.ranges:
        raise ConfigError(
            f"{project.file.path} takes the ranges of {extractor} from {config.ranges}; remove that to measure them"
        )
    for name in on or ():
        project.file.dataset(name)
    if not yes:
        require_yes(f"All DNAs of {extractor} will have to be computed again. Go on?")
    interruptible(lambda steps: calibrate_anew(project, extractor, steps, on=on or ()), TerminalProgress(), note)
    out.print(f"measured the activation ranges of {extractor}; `dna run` computes its DNAs anew")


def _show_report(report: RunReport) -> None:
    for name in report.calibrated:
        out.print(f"fixed the activation ranges of {name}; they are frozen from now on")
    columns = ("dataset", "images", "left out", "extracted", "shards", "why")
    show_table(None, columns, [_row(dataset) for dataset in report.datasets], columns[1:4])
    for name, times in report.extractions.items():
        out.print(f"{name}: {times}")
    for name, pairs in report.pairs.items():
        compared = counted(pairs.n_pairs_computed, "pair")
        missing = f"; left out: {', '.join(pairs.left_out)}" if pairs.left_out else ""
        out.print(f"{name}: {compared} compared, {pairs.n_pairs_reused:,} reused{missing}")
    _show_remarks({dataset.dataset: dataset.remark for dataset in report.datasets})
    for dataset in report.failed:
        note(f"{dataset.dataset}: {dataset.problem}", style="red")
    for problem in report.problems:
        note(problem, style="red")
    state = "not everything is up to date" if report.failed or report.problems else "everything is up to date"
    out.print(f"{state} ({report.duration_s:.1f} s)")


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
        # What the problem is stands below the table, in one piece.
        Text(f"{report.problem.kind}, see below", style="red") if report.problem else Text(shown(report.why)),
    ]


def _show_forecast(found: Forecast, *, json: bool) -> None:
    for name, why in found.missing.items():
        note(f"extractor {name}: {why}", style="red")
    for name in found.to_fetch:
        note(f"extractor {name}: its weights are not on this machine; a run fetches them first", style="yellow")
    if json:
        show_json([vars(item) | problem_json(item.problem) for item in found.datasets])
        return
    rows = []
    for item in found.datasets:
        changes = in_words(item.changes)
        n_images = sum(item.n_to_extract.values())
        about = "–" if not n_images else "?" if item.extraction_s is None else f"{item.extraction_s:.0f} s"
        rows.append((item.name, item.state, item.n_images, n_images, about, item.problem or changes or item.occasion))
    show_table(
        None, ("dataset", "state", "images", "to extract", "about", "changes"), rows, ("images", "to extract", "about")
    )
    _show_remarks({item.name: item.remark for item in found.datasets})
    if any(item.extraction_s is None and any(item.n_to_extract.values()) for item in found.datasets):
        note("how long it takes is known after the first extraction")
    note("nothing was computed or committed")
