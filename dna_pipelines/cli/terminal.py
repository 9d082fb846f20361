"""Terminals: results go to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO, cast

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import Advance

_CONTROLS = {code: chr(code).encode("unicode_escape").decode() for code in (*range(32), *range(127, 160))}
_JSON_CONTROLS = {code: f"\\u{code:04x}" for code in range(127, 160)}


def one_line(text: str) -> str:
    r"""Text that steers no terminal and breaks no line, as names and metadata may: `\x1b` and `\n` are spelled out."""
    return text.translate(_CONTROLS)


def shown(text: str) -> str:
    """Text that steers no terminal; its lines stay lines."""
    return "\n".join(map(one_line, text.split("\n")))


class _Results(Console):
    def render_str(self, text: str, **settings: Any) -> Text:
        return super().render_str(shown(text), **settings)


out = _Results(highlight=False)
if not out.is_terminal:
    # Nobody's window: a file or a program gets whole lines.
    out = _Results(highlight=False, width=100_000)
err = Console(stderr=True, highlight=False)


class _Aside:
    """Standard output as somebody's code sees it: standard error."""

    def write(self, text: str) -> int:
        # A reader who left is no failure of theirs.
        with suppress(BrokenPipeError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(BrokenPipeError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


@contextmanager
def strays_aside() -> Iterator[None]:
    """Networks of people's own may print; in a `with` block only results go to standard output."""
    results = sys.stdout
    if isinstance(results, _Aside):
        yield
        return
    out.file = results
    sys.stdout = cast("TextIO", _Aside())
    try:
        yield
    finally:
        sys.stdout = results
        # That is: whatever standard output is.
        out.file = cast("TextIO", None)


class TerminalProgress:
    """Progress bars on standard error; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._bars: Progress | None = None

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """A bar for the time of a `with` block."""
        if total == 0 or not err.is_terminal:
            yield lambda _steps: None
            return
        if self._bars:
            # Work within work: one more line of what is there.
            bars = self._bars
            bar = bars.add_task(description, total=total)
            try:
                yield lambda steps: bars.advance(bar, steps)
            finally:
                bars.remove_task(bar)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True) as bars:
            self._bars = bars
            bar = bars.add_task(description, total=total)
            try:
                yield lambda steps: bars.advance(bar, steps)
            finally:
                self._bars = None


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


def show_table(
    title: str | None, columns: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Sequence[str] = ()
) -> None:
    """Print a table; columns named in `numbers` are right-aligned."""
    if title:
        out.print(Text(shown(title), style="bold"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(one_line(_cell(cell))) for cell in row))
    out.print(table)


def show_json(value: Any) -> None:
    """Print a JSON value, and nothing else."""
    said = json.dumps(_plain(value), indent=2, ensure_ascii=False, default=str, allow_nan=False)
    # JSON itself escapes no others.
    print(said.translate(_JSON_CONTROLS), file=out.file)


def note(message: str, style: str = "") -> None:
    """Say something that is not the result."""
    err.print(Text(shown(message), style=style), soft_wrap=True)


def require_yes(question: str) -> None:
    """Ask whether to go on; where nobody answers, say how to do without.

    Raises:
        typer.Abort: when not.
    """
    try:
        typer.confirm(question, abort=True)
    except typer.Abort:
        if not sys.stdin.isatty():
            note("nobody answered; --yes goes on without asking")
        raise


def save(path: Path, data: bytes) -> None:
    """Write a file that somebody asked for, and say so.

    Raises:
        UserError: when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    note(f"saved {path}")


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity, which become null, and no bytes: what is not UTF-8 in them is escaped."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def size_text(n_bytes: int | None) -> str | None:
    """A size as people read it."""
    return None if n_bytes is None else decimal(n_bytes)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
