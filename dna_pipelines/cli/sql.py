"""The command that queries the lake: sql."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.options import Json
from dna_pipelines.cli.terminal import note, say, show_json, show_table, shown
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.api.project.project import Project


@app.command(rich_help_panel=COMPARE)
def sql(
    context: typer.Context,
    query: Annotated[
        str | None, typer.Argument(help="A DuckDB statement; without one, the views are listed.", show_default=False)
    ] = None,
    json: Json = False,
    limit: Annotated[int, typer.Option(help="Rows to show at most (--json has all).", metavar="N", min=1)] = 40,
    about: Annotated[
        str | None, typer.Option(help="Explain the columns of a view.", metavar="VIEW", show_default=False)
    ] = None,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Let the statement read and write all files, and load extensions.")
    ] = False,
    time_limit: Annotated[
        float | None,
        typer.Option(help="Stop the statement after so many seconds.", metavar="SECONDS", min=0.01, show_default=False),
    ] = None,
) -> None:
    """Query the lake with DuckDB. Statements read files of the project alone, and write none.

    Example: dna sql "SELECT dataset, reason, count(*) FROM quarantine GROUP BY ALL"
    """
    project = project_of(context)
    if about is not None and query is not None:
        raise UserError(
            "--about explains the columns of a view; leave out the statement",
            code="cli.options-conflict",
            options=["--about", "QUERY"],
        )
    if about is not None:
        _show_columns(project, about, json=json)
    elif query is None:
        _show_views(project, json=json)
    else:
        result = project.sql(query, unsafe=unsafe, limit_s=time_limit)
        _show_rows(result.columns, result.rows, limit, json=json)


def _show_rows(columns: Sequence[str], rows: Sequence[tuple[object, ...]], limit: int, *, json: bool) -> None:
    if json:
        if repeated := sorted({name for name in columns if columns.count(name) > 1}):
            raise UserError(
                f"more than one column has the name '{repeated[0]}'; JSON needs a different name for each (… AS name)",
                code="cli.column-repeated",
                column=repeated[0],
            )
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    if columns:
        # The plan that EXPLAIN returns is drawn over several lines.
        cells = [[Text(shown(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows[:limit]]
        first = dict(zip(columns, rows[0], strict=True)) if rows else {}
        numbers = [name for name, value in first.items() if isinstance(value, int | float)]
        show_table(None, columns, cells, numbers)
        note(counted(len(rows), "row") + (f", {limit} shown (--limit)" if len(rows) > limit else ""))
    if not columns or tuple(columns) == ("Count",):
        note("what a statement creates lasts for the statements after it in the same command (separated by ;)")


def _show_views(project: Project, *, json: bool) -> None:
    views = project.sql().rows
    if json:
        show_json([{"view": view, "comment": comment, "columns": columns} for view, comment, columns in views])
        return
    for view, comment, columns in views:
        say((view, "bold"), f"  {comment}")
        say(", ".join(columns), indent=2)
    note("`dna sql --about VIEW` explains the columns of a view")
    note(f'the same views in the duckdb shell: duckdb -readonly "{project.folder.catalog.database}"')


def _show_columns(project: Project, view: str, *, json: bool) -> None:
    columns = project.columns(view)
    if json:
        show_json(list(columns))
        return
    show_table(None, ["column", "type", "meaning"], columns.values, words=("type", "meaning"))
