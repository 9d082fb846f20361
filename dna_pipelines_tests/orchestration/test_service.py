"""`dna ui` serves a project once, on a port of its own, and notices when its code server is gone."""

import os
import socket
import subprocess
import sys

import psutil
import pytest

from dna_pipelines.cli.tools import _is_local
from dna_pipelines.errors import UserError
from dna_pipelines.orchestration.process_group import PartLost, run_together
from dna_pipelines.orchestration.service import _alone, _CodeServer, require_free
from dna_pipelines_tests.raising import raises


def test_a_port_on_which_another_program_listens_is_refused():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with raises(UserError, "dagster.port", host="127.0.0.1", port=port):
            require_free("127.0.0.1", port)
    require_free("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 3000), ("no host", 3000)])
def test_an_address_that_is_none_of_this_machine_is_refused(host, port):
    with raises(UserError, "dagster.port", host=host, port=port):
        require_free(host, port)


def test_a_project_is_served_once(tmp_path):
    with _alone(tmp_path), raises(UserError, "dagster.served-already", process=str(os.getpid())), _alone(tmp_path):
        pass
    with _alone(tmp_path):
        pass


def test_a_killed_service_leaves_no_lock(tmp_path):
    code = f"""
import os, pathlib
from dna_pipelines.orchestration.service import _alone
with _alone(pathlib.Path({str(tmp_path)!r})):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with _alone(tmp_path):
        pass


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_what_other_machines_reach_is_known(host, local):
    assert _is_local(host) == local


CODE_SERVER = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}, 'code-server']).wait()"


def test_a_code_server_that_ends_is_noticed():
    lasting = subprocess.Popen(
        [sys.executable, "-c", CODE_SERVER.format(child="print(1, flush=True); input()")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    server, dagster = _CodeServer(), psutil.Process(lasting.pid)
    lasting.stdout.readline()
    assert server.is_there(dagster)
    lasting.communicate(b"\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as empty:
        assert _CodeServer().is_there(psutil.Process(empty.pid))  # it may not have begun
        assert not server.is_there(psutil.Process(empty.pid))
        empty.communicate(b"\n")


def test_a_program_that_lost_a_part_is_ended(monkeypatch):
    monkeypatch.setattr("dna_pipelines.orchestration.process_group._CHECK_S", 0.05)
    seen = []

    def is_whole(process):
        seen.append(process)
        return len(seen) < 3

    with pytest.raises(PartLost):
        run_together([sys.executable, "-c", "import time; time.sleep(600)"], patience_s=5, is_whole=is_whole)
    assert not seen[0].is_running() or seen[0].status() == psutil.STATUS_ZOMBIE
    assert len(seen) == 4
