"""Terminals: results go to standard output, everything else to standard error."""

from __future__ import annotations

import io
import json
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO, cast

import typer
from rich.console import Console, ConsoleDimensions
from rich.filesize import decimal
from rich.text import Text

from dna_pipelines.cli.tables import Column, lay_out, lay_out_matrix, wrapped
from dna_pipelines.errors import DamagedFileWarning, DnaError, UserError

_CONTROLS = {code: chr(code).encode("unicode_escape").decode() for code in (*range(32), *range(127, 160))}
_JSON_CONTROLS = {code: f"\\u{code:04x}" for code in range(127, 160)}


def one_line(text: str) -> str:
    r"""Text that steers no terminal and breaks no line, as names and metadata may: `\x1b` and `\n` are spelled out."""
    return text.translate(_CONTROLS)


def shown(text: str) -> str:
    """Text that steers no terminal; its lines stay lines."""
    return "\n".join(map(one_line, text.split("\n")))


class _Stream(Console):
    """A console whose lines are as long as they are wherever they do not go to a terminal."""

    @property
    def size(self) -> ConsoleDimensions:
        return super().size if self.is_terminal else ConsoleDimensions(100_000, 25)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


out = _Stream(highlight=False)
err = _Stream(stderr=True, highlight=False)


class _Aside:
    """Standard output as a user's code sees it: standard error."""

    def write(self, text: str) -> int:
        # A reader that is gone is no failure of that code.
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
    """A user's own network may print; in a `with` block only results go to standard output."""
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
        # None stands for standard output, whatever that is by then.
        out.file = cast("TextIO", None)


def say(*parts: str | tuple[str, str], indent: int = 0) -> None:
    """Print a result in words; a terminal breaks it between words, never within one.

    Args:
        parts: texts, or pairs of a text and its style.
        indent: of its lines, in spaces.
    """
    _print(
        out,
        Text.assemble(*((shown(part), "") if isinstance(part, str) else (shown(part[0]), part[1]) for part in parts)),
        indent,
    )


def note(message: str, style: str = "") -> None:
    """Write something that is not the result to standard error."""
    _print(err, Text(shown(message), style=style))


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Show warnings about damaged files of the lake as notes; others as Python does."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DamagedFileWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, DamagedFileWarning):
                note(f"warning: {message}", style="yellow")
            else:
                others(message, category, *where, **more)

        warnings.showwarning = show
        yield


def _print(console: Console, text: Text, indent: int = 0) -> None:
    for line in text.split("\n", allow_blank=True):
        for part in wrapped(line, console.width, indent):
            console.print(part, soft_wrap=True)


def show_error(error: DnaError, *, json: bool) -> None:
    """Write what went wrong to standard error, and with `json` as an object to standard output too."""
    note(f"error[{error.code}]: {error}", style="red")
    if json:
        show_json({"error": {"code": error.code, "message": str(error), "facts": error.facts}})


def show_table(
    title: str | None,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    numbers: Sequence[str] = (),
    *,
    words: Sequence[str] = (),
    optional: Sequence[str] = (),
    shortened: Sequence[str] = (),
) -> None:
    """Print a table that fits the terminal; nothing is cut where there is none.

    Args:
        title: a line above it.
        columns: their headings; the first names the rows.
        rows: of cells; `None` is shown as a dash.
        numbers: columns that are right-aligned.
        words: columns whose cells may be broken between words.
        optional: columns that may be left out where the terminal is too narrow.
        shortened: columns whose cells may then be shortened in the middle.
    """
    if title:
        say((title, "bold"))
    named = [
        Column(one_line(name), name in numbers, name in words, name in optional, name in shortened) for name in columns
    ]
    cells = [[cell if isinstance(cell, Text) else Text(one_line(_cell(cell))) for cell in row] for row in rows]
    laid = lay_out(named, cells, out.width)
    for line in laid.lines:
        out.print(line, soft_wrap=True)
    if laid.left_out:
        note(f"columns left out at this width: {', '.join(laid.left_out)} (--json has all)")


def show_matrix(
    title: str, names: Sequence[str], cells: Sequence[Sequence[str]], extra: tuple[str, Sequence[str]] | None = None
) -> None:
    """Print a square table, in groups of columns where the terminal is too narrow for all."""
    say((title, "bold"))
    for line in lay_out_matrix([one_line(name) for name in names], cells, out.width, extra):
        out.print(line, soft_wrap=True)


def show_json(value: Any) -> None:
    """Print a JSON value, and nothing else."""
    # Escapes of a terminal would be no JSON.
    ascii_only = not (getattr(out.file, "encoding", None) or "utf-8").lower().startswith("utf")
    text = json.dumps(_plain(value), indent=2, ensure_ascii=ascii_only, default=str, allow_nan=False)
    # JSON itself escapes no others.
    print(text.translate(_JSON_CONTROLS), file=out.file)


def require_yes(question: str) -> None:
    """Ask whether to continue.

    Raises:
        typer.Abort: when the answer is no.
        UserError: when there is no answer, because nothing can be typed.
    """
    try:
        typer.confirm(question, abort=True, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        # The question left the line open.
        err.print()
        raise UserError("no input available; use --yes", code="cli.no-input") from None


def save(path: Path, data: bytes) -> None:
    """Write a file that a command was asked for, and report it.

    Raises:
        UserError: when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}", code="cli.not-written", path=str(path), reason=error.strerror
        ) from error
    note(f"saved {path}")


def save_figure(path: Path, figure: Any) -> None:
    """Write a figure of the API as a PNG, as a notebook would show it."""
    save(path, figure._repr_png_())


def save_image(path: Path, image: Any) -> None:
    """Write a PIL image as a PNG."""
    data = io.BytesIO()
    image.save(data, "png", optimize=True)
    save(path, data.getvalue())


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
