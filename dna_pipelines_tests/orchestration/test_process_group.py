"""A program and all that it starts end together, whatever ends them, and however stubborn they are."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

PROGRAM = """
import sys
from dna_pipelines.orchestration.process_group import run_together
print("ended by", run_together([sys.executable, "-c", sys.argv[1]], patience_s=float(sys.argv[2])), flush=True)
"""

# A parent and a child, as a web page and its code server are.
CHILD = "import time; print('begun', flush=True); time.sleep(600)"
ORDERLY = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}])
try:
    child.wait()
except KeyboardInterrupt:
    child.wait()
    print("in order", flush=True)
"""
STUBBORN = f"""
import signal, subprocess, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", {CHILD!r}]).wait()
"""
LEAVING = f"""
import os, signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print("begun", flush=True)
os._exit(3)
"""


def started(program, patience_s, ignored=""):
    command = [sys.executable, "-c", PROGRAM, program, str(patience_s)]
    if ignored:
        command = ["sh", "-c", f"trap '' {ignored}; exec \"$@\"", "sh", *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "begun\n"
    children = psutil.Process(process.pid).children(recursive=True)
    return process, [child for child in children if not any("guardian.py" in part for part in child.cmdline())]


def said(process):
    said, _ = process.communicate(timeout=30)
    return said.splitlines()


def all_gone(family):
    _, alive = psutil.wait_procs(family, timeout=30)
    # Where no process waits for orphans, zombies stay in the table.
    return all(one.status() == psutil.STATUS_ZOMBIE for one in alive if one.is_running())


@pytest.mark.campaign
@pytest.mark.parametrize("ignored", ["", "INT"], ids=["in the foreground", "in the background"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_in_order(number, ignored):
    process, family = started(ORDERLY, 60, ignored)
    assert len(family) == 2
    process.send_signal(number)
    assert said(process) == ["in order", f"ended by {number:d}"]
    assert all_gone(family)


def test_what_does_not_end_by_itself_is_killed():
    process, family = started(STUBBORN, 0.5)
    process.send_signal(signal.SIGTERM)
    assert said(process) == [f"ended by {signal.SIGTERM:d}"]
    assert all_gone(family)


def test_a_second_signal_kills_at_once():
    process, family = started(STUBBORN, 600)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert said(process) == [f"ended by {signal.SIGTERM:d}"]
    assert all_gone(family)


def test_what_a_program_leaves_behind_ends_with_it():
    process, _ = started(LEAVING, 0.5)
    assert said(process) == ["ended by None"]


def test_nohup_is_heeded():
    process, family = started(ORDERLY, 60, "HUP")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert all(one.is_running() for one in family)
    os.kill(process.pid, signal.SIGTERM)
    assert said(process) == ["in order", f"ended by {signal.SIGTERM:d}"]


@pytest.mark.parametrize("program", [ORDERLY, STUBBORN], ids=["orderly", "stubborn"])
def test_what_was_started_ends_where_its_parent_is_killed(program):
    process, family = started(program, 0.5)
    process.kill()
    process.wait()
    process.stdout.close()
    assert all_gone(family)
