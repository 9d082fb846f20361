"""Progress, with and without a terminal; and that nothing steers the terminal."""

import io
import json

import pytest
from rich.console import Console

from dna_pipelines.api import terminal_progress as api_progress
from dna_pipelines.cli import terminal
from dna_pipelines.cli.progress import run_with_progress, terminal_progress
from dna_pipelines.cli.terminal import note, say, show_json, show_table
from dna_pipelines.errors import UserError
from dna_pipelines_tests.raising import raises


@pytest.fixture
def written(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=file, force_terminal=True, width=120))
    return file


def test_work_within_work_is_a_line_of_the_same_bars(written):
    progress = terminal_progress()
    with progress.task("testing pairs", 2) as outer:
        with progress.task("extracting a sample", 4) as inner:
            inner(4)
        outer(2)
    assert "testing pairs" in written.getvalue()
    assert "extracting a sample" in written.getvalue()


def test_after_a_failure_inside_the_next_work_has_bars_of_its_own(written):
    progress = terminal_progress()
    with pytest.raises(ValueError, match="broken"), progress.task("first", 1), progress.task("inner", 1):
        raise ValueError("broken")
    with progress.task("second", 1) as advance:
        advance(1)
    assert "second" in written.getvalue()


def test_without_a_terminal_there_is_a_line_a_minute_with_rate_and_time_left(monkeypatch, capsys):
    clock = iter([0.0, 30.0, 61.0, 90.0, 122.0, 123.0])
    monkeypatch.setattr(api_progress.time, "monotonic", lambda: next(clock))
    with terminal_progress().task("extracting", 1000) as advance:
        for _ in range(5):
            advance(100)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("extracting: ") for line in lines)
    assert ["200 of 1,000" in lines[0], "3.28/s" in lines[0], "4 min" in lines[0]] == [True] * 3
    assert ["400 of 1,000" in lines[1], "3.28/s" in lines[1], "3 min" in lines[1]] == [True] * 3


def test_work_with_progress_returns_its_value_and_raises_its_errors():
    def work(a, b, progress):
        with progress.task("adding", 1) as advance:
            advance(1)
        if a < 0:
            raise UserError("negative", code="test.negative", a=a)
        return a + b

    assert run_with_progress(work, 1, b=2) == 3
    with raises(UserError, "test.negative", a=-1):
        run_with_progress(work, -1, 2)


def test_output_steers_no_terminal(capsys):
    odd = "x\x1b[31m\r\x9b\t\x7f"
    say(odd)
    show_table(odd, [odd], [[odd], [f"two\nlines {odd}"]])
    note(f"two\nlines {odd}")
    show_json(odd)
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1]) == odd
    assert said.err == "two\nlines x\\x1b[31m\\r\\x9b\\t\\x7f\n"
    assert r"two\nlines x\x1b" in said.out
    assert {char for char in said.out if char < " " or "\x7f" <= char < "\xa0"} == {"\n"}
