"""Commands about the installation and the lake: doctor, prune, ui, replay."""

from __future__ import annotations

from importlib.util import find_spec
from ipaddress import ip_address
from operator import attrgetter
from typing import Annotated

import typer
from rich.markup import escape

from dna_pipelines.cli.app import FAILED, TOOLS, app, project_of
from dna_pipelines.cli.options import Json, Yes
from dna_pipelines.cli.terminal import err, note, require_yes, say, show_json, show_table
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import counted


@app.command(rich_help_panel=TOOLS)
def doctor(
    context: typer.Context,
    pages: Annotated[
        bool,
        typer.Option("--pages", help="Also verify every byte of the lake by its checksums (this can take long)."),
    ] = False,
    json: Json = False,
) -> None:
    """Check the installation, the datasets file, every location and the lake."""
    with err.status("examining …") as shown:
        result = project_of(context).doctor(
            pages=pages, on_finding=lambda finding: shown.update(f"examined: {escape(finding.what)}")
        )
    if json:
        show_json(result.to_json())
    else:
        say(result.summary)
        for finding in sorted(result.findings, key=attrgetter("ok")):
            say(("ok ", "green") if finding.ok else ("BAD", "red"), f" {finding.what}: {finding.message}")
    if not result.ok:
        raise typer.Exit(FAILED)


@app.command(rich_help_panel=TOOLS)
def prune(
    context: typer.Context,
    keep: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="Versions of each dataset to keep. Default: keep_versions of the datasets file.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove old versions of all datasets, and the files that no kept version needs.

    Commits, distances between layers and test results are kept. A pruned version can no longer be compared.

    With `keep_versions: N` in the datasets file, runs and the daemon prune automatically.
    """
    project = project_of(context)
    pruned = project.prune(keep, dry_run=True)
    if not json and pruned.table:
        show_table(None, pruned.table.columns, pruned.table.values, ("versions pruned",))
    if pruned.plan.n_removed and not dry_run:
        if not yes:
            require_yes(f"This removes {pruned.plan}. Continue?")
        pruned = project.prune(keep)
    if json:
        show_json(pruned.to_json())
    else:
        say(f"{'would remove' if dry_run else 'removed'} {pruned.plan}")


@app.command(rich_help_panel=TOOLS)
def ui(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="The port of the web page.", min=1, max=65535)] = 3000,
    host: Annotated[str, typer.Option(help="The address of the web page.")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A host name by which the page is reached, such as that of a proxy in front of it; may be repeated.",
        ),
    ] = None,
) -> None:
    """Start Dagster's web page and daemon for this project; Ctrl-C, SIGTERM or SIGHUP stops both."""
    project = project_of(context).folder
    project.config()
    if find_spec("dagster_webserver") is None:
        raise UserError(
            "Dagster's web page is not installed; run `pip install 'dna_pipelines[ui]'`",
            code="cli.extra-missing",
            extra="ui",
        )
    from dna_pipelines.orchestration.service import serve

    def announce() -> None:
        note(f"http://{host}:{port} shows {project.root}; press Ctrl-C to stop it")

    if not _is_local(host):
        note(
            f"the page has no login: anyone who reaches {host} sees everything and can start runs; put a proxy with a "
            "login in front of it",
            style="yellow",
        )
    stopped_by = serve(project, host, port, announce, allow_host or ())
    if stopped_by is None:
        note("Dagster ended by itself; its output is above", style="red")
    raise typer.Exit(FAILED if stopped_by is None else 128 + stopped_by)


def _is_local(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@app.command(rich_help_panel=TOOLS)
def replay(context: typer.Context, json: Json = False) -> None:
    """Report what the lake has to Dagster, after its database was lost or replaced. Nothing is computed."""
    from dna_pipelines.orchestration.instance import open_instance
    from dna_pipelines.orchestration.replay import replay as report_all

    project = project_of(context).folder
    with open_instance(project) as instance:
        n_reported = report_all(instance, project)
    if json:
        show_json({"n_reported": n_reported})
    else:
        say(f"{counted(n_reported, 'materialization')} reported; nothing was computed")
