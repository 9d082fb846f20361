"""Commands about the installation and the lake: doctor, prune, ui, replay."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from dna_pipelines.cli.app import FAILED, TOOLS, app, project_of
from dna_pipelines.cli.terminal import note, out, require_yes, show_json, show_table
from dna_pipelines.errors import UserError
from dna_pipelines.maintenance.prune import FEWEST, carry_out, plan_pruning
from dna_pipelines.project.progress import counted


@app.command(rich_help_panel=TOOLS)
def doctor(
    context: typer.Context,
    pages: Annotated[
        bool,
        typer.Option("--pages", help="Also read every table of the lake whole, with its checksums (can be long)."),
    ] = False,
) -> None:
    """Check the installation, the datasets file, every place and the lake."""
    from dna_pipelines.maintenance.doctor import examine

    failed = False
    for finding in examine(project_of(context), pages=pages):
        mark, style = ("ok ", "green") if finding.ok else ("BAD", "red")
        out.print(f"[{style}]{mark}[/] {finding.what}: ", end="", soft_wrap=True)
        out.print(finding.said, markup=False, soft_wrap=True)
        failed |= not finding.ok
    if failed:
        raise typer.Exit(FAILED)


@app.command(rich_help_panel=TOOLS)
def prune(
    context: typer.Context,
    keep: Annotated[
        int | None,
        typer.Option(min=FEWEST, help="Versions of each dataset to keep. Default: keep_versions of the datasets file."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Give up old versions of all datasets, and remove what no kept version needs.

    Commits, distances between layers and verdicts stay. A version that was given up can be compared no more.

    With `keep_versions: N` in the datasets file, runs and the daemon do this by themselves.
    """
    project = project_of(context)
    keep = project.config().keep_versions if keep is None else keep
    if keep is None:
        raise UserError(f"how many versions? Say --keep N, or keep_versions: N in {project.file.path}")
    found = plan_pruning(project, keep)
    if not json and found.n_versions:
        show_table(None, ("dataset", "versions given up"), list(found.n_versions.items()), ("versions given up",))
    if found.n_removed and not dry_run:
        if not yes:
            require_yes(f"This removes {found}. Go on?")
        found = carry_out(project, found)
    if json:
        show_json({"n_versions": found.n_versions, "n_removed": dict(found.n_removed), "n_bytes": found.n_bytes})
        return
    out.print(f"{'would remove' if dry_run else 'removed'} {found}")


@app.command(rich_help_panel=TOOLS)
def ui(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Where the web page is served.")] = 3000,
    host: Annotated[str, typer.Option(help="The address it is served on.")] = "127.0.0.1",
) -> None:
    """Open Dagster's web page for this project, with the daemon; Ctrl-C, SIGTERM or SIGHUP ends both."""
    if find_spec("dagster_webserver") is None:
        raise UserError("the web page needs an extra: pip install 'dna_pipelines[ui]'")
    from dna_pipelines.orchestration.service import serve

    project = project_of(context)
    note(f"http://{host}:{port} shows {project.root}; Ctrl-C ends it")
    asked = serve(project, host, port)
    if asked is None:
        note("Dagster ended by itself; what it said is above", style="red")
    raise typer.Exit(FAILED if asked is None else 128 + asked)


@app.command(rich_help_panel=TOOLS)
def replay(context: typer.Context) -> None:
    """Tell Dagster what the lake has, after its database was lost or replaced. Nothing is computed."""
    from dna_pipelines.orchestration.instance import open_instance
    from dna_pipelines.orchestration.replay import replay as tell

    project = project_of(context)
    with open_instance(project) as instance:
        n_reported = tell(instance, project)
    out.print(f"{counted(n_reported, 'materialization')} reported; nothing was computed")
