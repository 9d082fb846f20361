"""Commands about the datasets file: add, remove, list, scan."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from dna_pipelines.cli.app import DATASETS, INCOMPLETE, app, project_of, require_datasets
from dna_pipelines.cli.terminal import TerminalProgress, note, one_line, out, show_json, show_table
from dna_pipelines.errors import SourceError, UserError

_SHOWN = 10
_CHANGES = ("added", "removed", "changed", "renamed", "described", "regrouped")


@app.command(rich_help_panel=DATASETS)
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it: letters, digits, '.', '_' and '-'.")],
    place: Annotated[
        str,
        typer.Argument(help="A folder, an index .txt, a .zip, .tar or .parquet, or a URI such as s3://bucket/images."),
    ],
    glob: Annotated[list[str] | None, typer.Option(help="Only files that match, such as '*.png'. Repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Not files that match. Repeatable.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="What the place is, where its suffix does not tell: tar, parquet, …")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Most images to take: a steady random sample.")] = None,
    group_by: Annotated[
        str | None, typer.Option(help="What is independent: 'folder', 'regex:PATTERN' or 'column:NAME'.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="KEY=VALUE or KEY. Repeatable.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Add it even if its place cannot be listed now.")] = False,
) -> None:
    """Watch a dataset: write it into data/datasets.yaml."""
    project = project_of(context)
    entry: dict[str, Any] = {"name": name, "uri": _uri(place, project.root)}
    given = {"kind": kind, "globs": glob, "exclude": exclude, "limit": limit, "group_by": group_by}
    entry |= {key: value for key, value in given.items() if value not in (None, [])}
    if tag:
        entry["tags"] = dict(text.partition("=")[::2] for text in tag)
    if project.file.create():
        note(f"made {project.file.path}")
    dataset = project.file.checked(entry)
    try:
        n_files = len(project.source(dataset).list().entries)
    except SourceError as error:
        if not force:
            raise SourceError(f"{error}; nothing was added (--force adds it anyway)") from error
        n_files = None
    project.file.add(entry)
    found = "its place cannot be listed now" if n_files is None else f"{n_files:,} files"
    said = f"added {name}: {found} at {entry['uri']}. `dna run` brings everything up to date."
    out.print(said, markup=False, soft_wrap=True)
    if n_files == 0:
        note("no file there is taken for an image; see --glob and --kind", style="yellow")


@app.command(rich_help_panel=DATASETS)
def remove(context: typer.Context, name: Annotated[str, typer.Argument(help="The dataset.")]) -> None:
    """Stop watching a dataset. Its fingerprints stay in the lake, its images are never touched."""
    project_of(context).file.remove(name)
    out.print(f"removed {name} from the datasets file; its fingerprints stay in the lake", soft_wrap=True)


@app.command("list", rich_help_panel=DATASETS)
def list_datasets(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the watched datasets."""
    project = project_of(context)
    rows = []
    for dataset in project.config().datasets:
        latest = project.lake.versions.latest(dataset.name)
        facts: dict[str, Any] = {
            "dataset": dataset.name,
            "uri": dataset.uri,
            "tags": dataset.tags,
            "group_by": dataset.group_by,
        }
        facts |= {"n_images": latest.n_images if latest else None, "version_id": latest.version_id if latest else None}
        rows.append(facts)
    if json:
        show_json(rows)
        return
    require_datasets(project)
    cells = [(row["dataset"], row["n_images"], row["uri"], _tags(row["tags"]), row["group_by"] or "") for row in rows]
    show_table(None, ("dataset", "images", "place", "tags", "grouped by"), cells, ("images",))


@app.command(rich_help_panel=DATASETS)
def scan(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Datasets; all where none is named.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with every path.")] = False,
) -> None:
    """Look what changed since the last run: reads new files, commits nothing."""
    from dna_pipelines.update.ingest import draft, look

    project, failed = project_of(context), False
    require_datasets(project)
    facts: list[dict[str, Any]] = []
    for dataset in [project.file.dataset(name) for name in names or []] or list(project.config().datasets):
        try:
            manifest, diff, remark = draft(project, look(project, dataset), TerminalProgress())
        except UserError as error:
            failed = True
            facts.append({"dataset": dataset.name, "problem": str(error)})
            continue
        paths: dict[str, Any] = {
            "added": [row.name for row in diff.added],
            "removed": [row.name for row in diff.removed],
            "changed": [row.name for _, row in diff.changed],
            "renamed": [f"{old.name} -> {new.name}" for old, new in diff.renamed],
            "described": [row.name for _, row in diff.described],
            "regrouped": [row.name for _, row in diff.regrouped],
        }
        quarantined = [{"path": row.name, "reason": row.reason, "detail": row.detail} for row in manifest.quarantined]
        paths |= {"n_images": len(manifest.readable), "n_ignored": manifest.n_ignored}
        paths |= {"n_not_sampled": manifest.n_not_sampled, "quarantined": quarantined, "remark": remark}
        facts.append({"dataset": dataset.name, **paths})
    if json:
        show_json(facts)
    else:
        for found in facts:
            _show_scan(found)
    if failed:
        raise typer.Exit(INCOMPLETE)


def _show_scan(found: dict[str, Any]) -> None:
    if problem := found.get("problem"):
        note(f"{found['dataset']}: {problem}", style="red")
        return
    from dna_pipelines.manifests.diff import in_words

    changes = in_words({what: len(found[what]) for what in _CHANGES})
    counts = {"not sampled": found["n_not_sampled"], "ignored": found["n_ignored"]}
    left_out = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    said = f"{found['n_images']:,} images{f' ({left_out})' if left_out else ''}; {changes or 'nothing changed'}"
    out.print(f"[bold]{found['dataset']}[/]: {said}")
    if found["remark"]:
        note(f"{found['dataset']}: {found['remark']}", style="yellow")
    for what in _CHANGES:
        _show_some(what, found[what])
    _show_some("quarantined", [f"{row['path']}  ({row['reason']}: {row['detail']})" for row in found["quarantined"]])


def _show_some(what: str, lines: list[str]) -> None:
    for line in lines[:_SHOWN]:
        out.print(f"  {what:<11} {one_line(line)}", markup=False, soft_wrap=True)
    if len(lines) > _SHOWN:
        out.print(f"  {what:<11} … and {len(lines) - _SHOWN:,} more (--json lists all)")


def _tags(tags: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" if value else key for key, value in tags.items())


def _uri(place: str, root: Path) -> str:
    """A place as it is written down: relative to the project where it lies inside."""
    if "://" in place:
        return place
    path = Path(os.path.abspath(Path(place).expanduser()))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
