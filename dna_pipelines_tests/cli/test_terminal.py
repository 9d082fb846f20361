"""Progress bars, also of work within work; and that nothing steers the terminal."""

import io
import json

import pytest
from rich.console import Console

from dna_pipelines.cli import terminal
from dna_pipelines.cli.terminal import TerminalProgress, note, out, show_json, show_table


@pytest.fixture
def written(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=file, force_terminal=True, width=120))
    return file


def test_work_within_work_is_a_line_of_the_same_bars(written):
    progress = TerminalProgress()
    with progress.task("testing pairs", 2) as outer:
        with progress.task("extracting a sample", 4) as inner:
            inner(4)
        outer(2)
    assert "testing pairs" in written.getvalue()
    assert "extracting a sample" in written.getvalue()


def test_after_a_failure_inside_the_next_work_has_bars_of_its_own(written):
    progress = TerminalProgress()
    with pytest.raises(ValueError, match="broken"), progress.task("first", 1), progress.task("inner", 1):
        raise ValueError("broken")
    with progress.task("second", 1) as advance:
        advance(1)
    assert "second" in written.getvalue()


def test_whatever_is_said_steers_no_terminal(capsys):
    odd = "x\x1b[31m\r\x9b\t\x7f"
    out.print(odd, markup=False)
    show_table(odd, [odd], [[odd], [f"two\nlines {odd}"]])
    note(f"two\nlines {odd}")
    show_json(odd)
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1]) == odd
    assert said.err == "two\nlines x\\x1b[31m\\r\\x9b\\t\\x7f\n"
    assert r"two\nlines x\x1b" in said.out
    assert {char for char in said.out if char < " " or "\x7f" <= char < "\xa0"} == {"\n"}
