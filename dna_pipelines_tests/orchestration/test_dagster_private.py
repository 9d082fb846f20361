"""Private names of Dagster: all of them are there in the pinned version, in one module, and missed with words."""

import ast
import asyncio
import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

import dna_pipelines
from dna_pipelines.errors import UserError
from dna_pipelines.orchestration import dagster_private
from dna_pipelines.orchestration.dagster_private import TESTED_MINOR, PrivateName
from dna_pipelines.orchestration.instance import prepare_home
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.raising import raises

PACKAGE = Path(dna_pipelines.__file__).parent
NAMES = sorted(
    (value for value in vars(dagster_private).values() if isinstance(value, PrivateName)),
    key=lambda private: (private.module, private.name),
)
PRIVATE = re.compile(r"\bdagster\._|\balembic\b")


def test_the_version_that_is_tested_is_the_pinned_one():
    pins = (PACKAGE.parent / "constraints.txt").read_text()
    (pinned,) = re.findall(r"^dagster==(\d+\.\d+)\.", pins, re.MULTILINE)
    assert pinned == TESTED_MINOR


@pytest.mark.parametrize("private", NAMES, ids=lambda private: private.name)
def test_every_private_name_is_there(private):
    assert private.resolve() is not None


KEY = dg.AssetKey("asset")
USES = {
    "_SCRIPTS": lambda _: dagster_private.migrations_read_once().__enter__(),
    "_INSTANCE_REF": lambda instance: dagster_private.instance_of_this_process(instance.root_directory),
    "_FROM_REF": lambda instance: dagster_private.instance_of_this_process(instance.root_directory),
    "_NO_LOGS": lambda instance: dagster_private.instance_of_this_process(instance.root_directory),
    "_RANGE_START": lambda _: dagster_private.range_tags("a", "b"),
    "_RANGE_END": lambda _: dagster_private.range_tags("a", "b"),
    "_SERVER_OF_RUN": lambda _: dagster_private.code_server_of(dg.DagsterRun("job")),
    "_LATEST_RECORD": lambda instance: dagster_private.input_version_tags(instance, KEY, None),
    "_DATA_VERSION_OF": lambda instance: dagster_private.input_version_tags(instance, KEY, None),
    "_VERSION_TAG_OF": lambda instance: dagster_private.input_version_tags(instance, KEY, None),
    "_POINTER_TAG_OF": lambda instance: dagster_private.input_version_tags(instance, KEY, None),
    "_CHECK_FAILED": lambda _: dagster_private.is_failed_check(SimpleNamespace(cls_name="")),
    "_SQLITE_EVENTS": lambda instance: dagster_private.database_of_run(instance, "run"),
    "_DATABASE_OF_RUN": lambda instance: dagster_private.database_of_run(instance, "run"),
    "_LOCAL_LOGS": lambda instance: dagster_private.log_file(instance, ["a", "b"]),
    "_LOG_FILE": lambda instance: dagster_private.log_file(instance, ["a", "b"]),
    "_RUN_IN_PROGRESS": lambda _: asyncio.run(dagster_private.without_requested_partitions(View(), KEY, View())),
    "_BACKFILL_IN_PROGRESS": lambda _: asyncio.run(dagster_private.without_requested_partitions(View(), KEY, View())),
    "_DEV": lambda _: dagster_private.dev_command_with("module"),
    "_START_SERVICE": lambda _: dagster_private.dev_command_with("module"),
    "_WEB_SERVER": lambda _: dagster_private.web_server_with(None),
    "_MIDDLEWARE": lambda _: dagster_private.web_server_with(None),
}
"""By private name: something that needs it."""


class View:
    """Stands for a view of assets, and for a subset of one."""

    async def compute_run_in_progress_subset(self, key, from_subset):
        return from_subset

    def compute_difference(self, other):
        return other


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    """An instance of a daemon, with a materialization."""
    home = prepare_home(ProjectFolder(tmp_path_factory.mktemp("project")))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        tags = {"dagster/data_version": "1"}
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY, tags=tags))
        yield instance


def test_every_private_name_is_used():
    declared = {name for name, value in vars(dagster_private).items() if isinstance(value, PrivateName)}
    assert declared == set(USES)


@pytest.mark.parametrize("name", USES)
def test_a_missing_name_is_an_error_that_says_which_version_works(instance, name, monkeypatch):
    module = getattr(dagster_private, name).module
    if name == "_BACKFILL_IN_PROGRESS":
        monkeypatch.setattr(
            dagster_private, "_RUN_IN_PROGRESS", PrivateName(__name__, "View.compute_run_in_progress_subset")
        )
    monkeypatch.setattr(dagster_private, name, PrivateName(module, "NotThere"))
    facts = {"module": module, "name": "NotThere", "installed": dg.__version__, "tested": TESTED_MINOR}
    with raises(UserError, "dagster.private-api", **facts):
        USES[name](instance)


def test_what_is_wrapped_does_what_it_says(instance):
    assert dagster_private.range_tags("a", "b") == {
        "dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"
    }  # fmt: skip
    tags = dagster_private.input_version_tags(instance, KEY, None)
    assert tags["dagster/input_data_version/asset"] == "1"
    assert len(tags) == 2
    assert dagster_private.input_version_tags(instance, dg.AssetKey("other"), None) == {}
    assert dagster_private.code_server_of(dg.DagsterRun("job")) is None
    assert dagster_private.database_of_run(instance, "run").is_relative_to(instance.root_directory)
    assert dagster_private.log_file(instance, ["a", "b"]).is_relative_to(instance.root_directory)
    with dagster_private.instance_of_this_process(Path(instance.root_directory)) as other:
        assert other.fetch_materializations(KEY, limit=9).records
        assert dagster_private.log_file(other, ["a", "b"]) is None


def test_a_missing_module_is_the_same_error():
    with raises(UserError, "dagster.private-api", module="dagster._core.nowhere", name="Thing"):
        PrivateName("dagster._core.nowhere", "Thing").resolve()


def test_dagster_dev_starts_our_web_server(monkeypatch):
    dev, started = importlib.import_module("dagster._cli.dev"), []
    monkeypatch.setattr(dev, "open_ipc_subprocess", lambda command, **options: started.append((command, options)))
    assert dagster_private.dev_command_with("ours") is dev.dev_command
    dev.open_ipc_subprocess(["python", "-m", "dagster_webserver", "--port", "1"], pass_fds=[3])
    assert started == [(["python", "-m", "ours", "--port", "1"], {"pass_fds": [3]})]


def test_our_middleware_is_the_first(monkeypatch):
    server = importlib.import_module("dagster_webserver.webserver").DagsterWebserver
    monkeypatch.setattr(server, "build_middleware", lambda _server: ["theirs"])
    dagster_private.web_server_with("ours")
    assert server.build_middleware(None) == ["ours", "theirs"]


def test_migrations_are_cached_while_an_instance_is_open_and_not_after():
    before = vars(dagster_private.PrivateName("alembic.script", "ScriptDirectory").resolve())["from_config"]
    with dagster_private.migrations_read_once():
        cached = dagster_private._SCRIPTS.resolve()
        with dagster_private.migrations_read_once():
            assert dagster_private._SCRIPTS.resolve() is cached
        assert dagster_private._SCRIPTS.resolve() is cached
    after = vars(dagster_private.PrivateName("alembic.script", "ScriptDirectory").resolve())["from_config"]
    assert after is before


def test_no_other_module_mentions_what_is_private():
    """Neither imports nor strings; words of documentation are free to explain it."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names = [node.value]
            else:
                continue
            if any(PRIVATE.search(name) for name in names):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {"orchestration/dagster_private.py"}
