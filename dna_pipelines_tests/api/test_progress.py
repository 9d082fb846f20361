"""Progress where there is a terminal, a notebook or neither; and Ctrl-C, which loses nothing."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace

import pytest
from rich.console import Console

import dna_pipelines as dna
from dna_pipelines.api.progress import NotebookProgress, progress_for, watched
from dna_pipelines.api.terminal_progress import LineProgress, TerminalProgress
from dna_pipelines.project.progress import Silent


class Shell:
    """Stands for IPython with a kernel, and for what it displays."""

    HTML = staticmethod(lambda text: text)

    def __init__(self):
        self.shown = []
        self.kernel = object()

    def get_ipython(self):
        return self

    def display(self, value, *, display_id):
        assert display_id
        self.shown.append(value)
        return SimpleNamespace(update=self.shown.append)


@pytest.fixture
def notebook(monkeypatch):
    shell = Shell()
    module = SimpleNamespace(get_ipython=shell.get_ipython, display=shell, __path__=[])
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", shell)
    return shell


def test_false_is_silent_and_true_suits_what_shows_it(notebook, monkeypatch):
    assert isinstance(progress_for(False), Silent)
    assert isinstance(progress_for(True), NotebookProgress)
    notebook.kernel = None
    assert isinstance(progress_for(True), LineProgress)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(progress_for(True), TerminalProgress)
    own = Silent()
    assert progress_for(own) is own


def test_a_notebook_gets_a_bar_that_is_updated_in_place(notebook):
    def work(steps):
        with steps.task("<reading>", 3) as advance, steps.task("nothing", 0) as idle:
            idle(0)
            for _ in range(3):
                advance(1)

    watched(work, progress=True)
    assert '<progress value="0" max="3">' in notebook.shown[0]
    assert '<progress value="3" max="3">' in notebook.shown[-1]
    assert "&lt;reading&gt;" in notebook.shown[0]


def test_without_a_terminal_there_is_a_line_a_minute(capsys):
    eager, slow = LineProgress(every_s=0), LineProgress()
    for progress in (eager, slow):
        with progress.task("reading", 10) as advance:
            advance(4)
    assert capsys.readouterr().err.count("\n") == 1


def test_bars_of_a_terminal_nest():
    progress = TerminalProgress()
    with progress.task("outer", 2) as outer, progress.task("inner", 5) as inner:
        inner(5)
        outer(1)
    with progress.task("again", 1) as advance:
        advance(1)


def test_the_name_of_a_slice_is_shown_as_it_is():
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with TerminalProgress(console).task("builtin: a[weather=rain] [/red]", 3) as advance:
        advance(3)
    assert "a[weather=rain] [/red]" in console.file.getvalue()


def test_ctrl_c_stops_the_work_at_its_next_step_and_restores_the_handler():
    before = signal.getsignal(signal.SIGINT)
    done = []

    def work(steps):
        with steps.task("steps", 100) as advance:
            for number in range(100):
                if number == 3:
                    os.kill(os.getpid(), signal.SIGINT)
                    stopped.wait(10)
                done.append(number)
                advance(1)

    stopped = threading.Event()
    handler = threading.Thread(target=lambda: stopped.wait(0.5) or stopped.set())
    handler.start()
    with pytest.raises(KeyboardInterrupt):
        watched(work, progress=False)
    assert len(done) < 100
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_is_not_lost_when_the_work_has_no_further_step():
    def work(_steps):
        os.kill(os.getpid(), signal.SIGINT)
        pressed.wait(10)
        return "done"

    pressed = threading.Event()
    threading.Timer(0.5, pressed.set).start()
    with pytest.raises(KeyboardInterrupt):
        watched(work, progress=False)


def test_a_second_ctrl_c_returns_at_once():
    release = threading.Event()

    def work(_steps):
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        release.wait(30)

    with pytest.raises(KeyboardInterrupt):
        watched(work, progress=False)
    release.set()


def test_errors_come_through_and_another_thread_just_works():
    def fail(_steps):
        raise dna.UserError("no", code="user")

    with pytest.raises(dna.UserError):
        watched(fail, progress=False)
    found = []
    thread = threading.Thread(target=lambda: found.append(watched(lambda _steps: threading.current_thread(), False)))
    thread.start()
    thread.join()
    assert found == [thread]


def test_an_interrupted_update_goes_on_where_it_was(project):
    """In a process of its own, because a stopped run ends threads and signals."""
    code = f"""
        import os, signal
        import dna_pipelines as dna
        from dna_pipelines_tests.api.conftest import write_folder

        project = dna.open_project({str(project.root)!r})
        write_folder(project.root / "d3", 300, 50_000)
        project.add("d3", project.root / "d3")

        class Impatient:
            from contextlib import contextmanager

            pressed = False

            @contextmanager
            def task(self, description, total):
                def advance(steps):
                    # Once: a second time would not wait for the work, and could hit the next update.
                    if description.startswith("builtin") and not self.pressed:
                        self.pressed = True
                        os.kill(os.getpid(), signal.SIGINT)
                yield advance

        try:
            project.update(progress=Impatient())
        except KeyboardInterrupt:
            print("stopped")
        report = project.update()
        print(report.ok, [row["n_images"] for row in report.table])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["stopped", "True [40, 40, 40, 300]"]
