"""The project's Dagster instance, kept in `data/dagster/`."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from dna_pipelines.pipeline.project import Project

_NOT_CAPTURED = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


def prepare_home(project: Project) -> Path:
    """Make DAGSTER_HOME, with its settings and databases; returns where it is.

    It appears whole or not at all: a database of which only some tables exist, after a kill or with two
    processes at once, could never be opened again.
    """
    home = project.dagster_home
    if (home / "dagster.yaml").exists():
        return home
    draft = home.with_name(f".{home.name}.{uuid.uuid4().hex[:12]}")
    draft.mkdir(parents=True)
    with as_file(files("dna_pipelines.orchestration").joinpath("dagster.yaml")) as template:
        shutil.copyfile(template, draft / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(draft)):
        pass
    try:
        draft.rename(home)
    except OSError:
        if not (home / "dagster.yaml").exists():
            raise
        # Another process was faster.
        shutil.rmtree(draft)
    return home


@contextmanager
def open_instance(project: Project) -> Iterator[dg.DagsterInstance]:
    """The instance, for runs inside this process: what steps print is not captured but shown."""
    ref = InstanceRef.from_dir(str(prepare_home(project)), overrides={"compute_logs": _NOT_CAPTURED})
    with dg.DagsterInstance.from_ref(ref) as instance:
        yield instance
