"""Every use of private names of Dagster, and of Alembic below it.

A name is looked up when it is needed, so a release of Dagster without it stops only what depends on it, with an error
that says which release works. Nothing else in this package mentions a private module of Dagster (a test enforces this).
"""

from __future__ import annotations

import glob
import hashlib
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import dagster as dg

from dna_pipelines.errors import UserError

TESTED_MINOR = "1.13"
"""The minor version of Dagster whose private interface the tests exercise; `constraints.txt` pins it."""


@dataclass(frozen=True)
class PrivateName:
    """A name in a module that may change with any release."""

    module: str
    name: str
    """With dots where it is an attribute of a class."""

    def resolve(self) -> Any:
        """The object of this name.

        Raises:
            UserError: when the installed version has no such name (code `dagster.private-api`).
        """
        try:
            return attrgetter(self.name)(importlib.import_module(self.module))
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"Dagster {dg.__version__} has no {self.module}.{self.name}, which dna_pipelines needs; it is tested "
                f"with Dagster {TESTED_MINOR}: run `pip install 'dagster=={TESTED_MINOR}.*'`",
                code="dagster.private-api",
                module=self.module,
                name=self.name,
                installed=dg.__version__,
                tested=TESTED_MINOR,
            ) from error


_SCRIPTS = PrivateName("alembic.script", "ScriptDirectory.from_config")
_INSTANCE_REF = PrivateName("dagster._core.instance.ref", "InstanceRef.from_dir")
_FROM_REF = PrivateName("dagster._core.instance", "DagsterInstance.from_ref")
_SETTINGS = "dagster.yaml"
_NO_LOGS = PrivateName("dagster._core.storage.noop_compute_log_manager", "NoOpComputeLogManager")
_RANGE_START = PrivateName("dagster._core.storage.tags", "ASSET_PARTITION_RANGE_START_TAG")
_RANGE_END = PrivateName("dagster._core.storage.tags", "ASSET_PARTITION_RANGE_END_TAG")
_SERVER_OF_RUN = PrivateName("dagster._core.storage.tags", "GRPC_INFO_TAG")
_DATA_VERSION_OF = PrivateName("dagster._core.definitions.data_version", "extract_data_version_from_entry")
_VERSION_TAG_OF = PrivateName("dagster._core.definitions.data_version", "get_input_data_version_tag")
_POINTER_TAG_OF = PrivateName("dagster._core.definitions.data_version", "get_input_event_pointer_tag")
_LATEST_RECORD = PrivateName("dagster._core.instance", "DagsterInstance.get_latest_data_version_record")
_CHECK_FAILED = PrivateName("dagster._core.errors", "DagsterAssetCheckFailedError")
_SQLITE_EVENTS = PrivateName("dagster._core.storage.event_log", "SqliteEventLogStorage")
_DATABASE_OF_RUN = PrivateName("dagster._core.storage.event_log", "SqliteEventLogStorage.path_for_shard")
_LOCAL_LOGS = PrivateName("dagster._core.storage.local_compute_log_manager", "LocalComputeLogManager")
_LOG_FILE = PrivateName(
    "dagster._core.storage.local_compute_log_manager", "LocalComputeLogManager.get_captured_local_path"
)
_RUN_IN_PROGRESS = PrivateName(
    "dagster._core.asset_graph_view.asset_graph_view", "AssetGraphView.compute_run_in_progress_subset"
)
_BACKFILL_IN_PROGRESS = PrivateName(
    "dagster._core.asset_graph_view.asset_graph_view", "AssetGraphView.compute_backfill_in_progress_subset"
)

_DEV = PrivateName("dagster._cli.dev", "dev_command")
_START_SERVICE = PrivateName("dagster._cli.dev", "open_ipc_subprocess")
_WEB_SERVER = PrivateName("dagster_webserver.cli", "dagster_webserver")
_MIDDLEWARE = PrivateName("dagster_webserver.webserver", "DagsterWebserver.build_middleware")
_WEB_MODULE = "dagster_webserver"


@cache
def _cached(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return cache(read)


@contextmanager
def migrations_read_once() -> Iterator[None]:
    """Let Alembic read Dagster's migrations once in this process, instead of whenever a database is opened or created.

    Every run opens several databases, and reading the migrations is a third of the processor time of a small run. They
    are files of the installation, with one configuration for each of Dagster's storages.
    """
    read = _SCRIPTS.resolve()
    owner: Any = PrivateName(_SCRIPTS.module, _SCRIPTS.name.partition(".")[0]).resolve()
    before = vars(owner)["from_config"]
    # An open context has replaced the function by a cached one already.
    owner.from_config = read if hasattr(read, "cache_info") else _cached(read)
    try:
        yield
    finally:
        owner.from_config = before


def settings_filename(home: Path) -> str:
    """The `config_filename` with which Dagster finds the settings in a folder whose name contains `*`, `?` or `[`.

    Dagster takes the path of the settings for a glob pattern, and uses its defaults (which send telemetry) where that
    matches nothing. An absolute name replaces the folder.
    """
    path = str(home / _SETTINGS)
    return _SETTINGS if glob.escape(path) == path else glob.escape(path)


def instance_of_this_process(home: Path) -> dg.DagsterInstance:
    """The instance of a DAGSTER_HOME for runs in this process: what steps print is shown, not captured in files.

    Use it as a context manager, which closes it.
    """
    _NO_LOGS.resolve()
    no_logs = {"module": _NO_LOGS.module, "class": _NO_LOGS.name}
    instance: dg.DagsterInstance = _FROM_REF.resolve()(
        _INSTANCE_REF.resolve()(str(home), config_filename=settings_filename(home), overrides={"compute_logs": no_logs})
    )
    return instance


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags of a run of all partitions from the first to the last, in Dagster's order."""
    return {_RANGE_START.resolve(): first, _RANGE_END.resolve(): last}


def input_version_tags(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> dict[str, str]:
    """What Dagster records of an input that a step reads: its data version, and the event that reported it.

    Args:
        instance: holds the event.
        key: the asset that is read.
        partition: the one that is read; None for an asset without partitions.

    Returns:
        Tags of a materialization; none where the input has no data version yet.
    """
    record = _LATEST_RECORD.resolve()(instance, key, partition_key=partition)
    version = _DATA_VERSION_OF.resolve()(record.event_log_entry) if record else None
    if not version:
        return {}
    # For partitions Dagster records the hash of all versions that were read: here, of one.
    value = hashlib.sha256(version.value.encode()).hexdigest() if partition else version.value
    return {_VERSION_TAG_OF.resolve()(key): value, _POINTER_TAG_OF.resolve()(key): str(record.storage_id)}


def code_server_of(run: dg.DagsterRun) -> Mapping[str, Any] | None:
    """How the code server that starts a run is reached (`socket`, or `host` and `port`); None before the handover."""
    text = run.tags.get(_SERVER_OF_RUN.resolve())
    server: Mapping[str, Any] | None = json.loads(text) if text else None
    return server


def is_failed_check(error: Any) -> bool:
    """Whether the error of a failed step says that a blocking check failed."""
    return bool(error.cls_name == _CHECK_FAILED.resolve().__name__)


def log_file(instance: dg.DagsterInstance, log_key: list[str]) -> Path | None:
    """The file of what was printed to standard error under a log key; None where logs are not files of this machine."""
    manager = instance.compute_log_manager
    return Path(_LOG_FILE.resolve()(manager, log_key, "err")) if isinstance(manager, _LOCAL_LOGS.resolve()) else None


def database_of_run(instance: dg.DagsterInstance, run_id: str) -> Path | None:
    """The database with the events of a run; None where events are not in SQLite files."""
    storage = instance.event_log_storage
    return Path(_DATABASE_OF_RUN.resolve()(storage, run_id)) if isinstance(storage, _SQLITE_EVENTS.resolve()) else None


async def without_requested_partitions(view: Any, key: dg.AssetKey, subset: Any) -> Any:
    """The partitions of an asset that are in no run and no backfill in progress.

    Args:
        view: the `asset_graph_view` of an automation context.
        key: the asset.
        subset: of its partitions, as automation conditions have it.
    """
    for in_progress in (_RUN_IN_PROGRESS, _BACKFILL_IN_PROGRESS):
        subset = subset.compute_difference(await in_progress.resolve()(view, key=key, from_subset=subset))
    return subset


def dev_command_with(web_server: str) -> Callable[[], None]:
    """The command `dagster dev`, which from now on starts a module of ours (`python -m …`) as its web server."""
    dev: Callable[[], None] = _DEV.resolve()
    start = _START_SERVICE.resolve()

    def start_service(command: Sequence[str], **options: Any) -> Any:
        return start([web_server if part == _WEB_MODULE else part for part in command], **options)

    vars(importlib.import_module(_START_SERVICE.module))[_START_SERVICE.name] = start_service
    return dev


def web_server_with(middleware: Any) -> Callable[[], None]:
    """The command `dagster-webserver`, from now on with a middleware of Starlette before all others."""
    serve: Callable[[], None] = _WEB_SERVER.resolve()
    build = _MIDDLEWARE.resolve()
    owner: Any = PrivateName(_MIDDLEWARE.module, _MIDDLEWARE.name.partition(".")[0]).resolve()
    owner.build_middleware = lambda server: [middleware, *build(server)]
    return serve
