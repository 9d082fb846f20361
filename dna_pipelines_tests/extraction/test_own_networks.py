"""Networks of the user's own: a function in a module, an entry point."""

import textwrap
from importlib.metadata import EntryPoint

import pytest

from dna_pipelines.config import ExtractorConfig
from dna_pipelines.errors import ExtractorError, UnknownName
from dna_pipelines.extraction.files.change_token import extractor_change_token, network_state
from dna_pipelines.extraction.loading.registry import find_network, load_extractor
from dna_pipelines.update.extractors import load_all
from dna_pipelines_tests.raising import raises

MODULE = """
    import torch
    from torch import nn
    from dna_pipelines.extraction.extractor import Network
    from dna_pipelines.imaging import Preprocessing

    def build():
        torch.manual_seed(1)
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
        return Network("mine", module, Preprocessing(8), ("0", "2"), "d", "mine/1", "none", "two convolutions")

    def wrong():
        return nn.Identity()
"""

FAILS = (
    MODULE.replace("nn.ReLU()", "Fails()")
    + """
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("boom")
"""
)


def write_module(root, name, text=MODULE):
    (root / f"{name}.py").write_text(textwrap.dedent(text))


def test_a_function_of_the_projects_folder_is_a_network(tmp_path):
    write_module(tmp_path, "own_one")
    extractor = load_extractor("own_one:build", batch_size=4, root=tmp_path)
    assert [(layer.name, layer.n_neurons) for layer in extractor.layers] == [("0", 4), ("2", 5)]
    assert extractor.parts["extractor"] == "mine"


def test_a_module_that_is_made_once_cannot_be_on_several_devices(tmp_path, monkeypatch):
    write_module(tmp_path, "own_once", MODULE + "\n    network = build()\n")
    monkeypatch.setattr("dna_pipelines.update.extractors.devices_of", lambda _device: ("cpu", "cpu:0"))

    def load(function):
        config = ExtractorConfig(name="mine", network=f"own_once:{function}")
        config.model_post_init({"root": tmp_path})
        return load_all(config)

    assert len(load("build")) == 2
    with raises(ExtractorError, "network.one-module", network="own_once:network", extractor="mine"):
        load("network")


def test_a_changed_module_is_noticed_without_being_imported(tmp_path):
    write_module(tmp_path, "own_two")
    before = network_state("own_two:build", tmp_path)
    write_module(tmp_path, "own_two", MODULE + "\n\n")
    assert before
    assert network_state("own_two:build", tmp_path) != before


@pytest.mark.parametrize(
    ("name", "text", "code", "facts"),
    [
        ("own_three:nope", MODULE, "network.function-missing", {"module": "own_three", "function": "nope"}),
        ("own_four:wrong", MODULE, "network.not-a-network", {"returned": "Identity"}),
        (
            "own_five:build",
            "import not_there_at_all\n",
            "network.package-missing",
            {"module": "own_five", "package": "not_there_at_all"},
        ),
        ("not_there:build", "", "network.module-missing", {"module": "not_there"}),
    ],
)
def test_a_module_that_does_not_serve_is_an_error(tmp_path, name, text, code, facts):
    if text:
        write_module(tmp_path, name.partition(":")[0], text)
    with raises(ExtractorError, code, network=name, **facts):
        find_network(name, tmp_path)


def test_a_missing_module_is_an_error_with_the_folder_where_it_may_lie(tmp_path):
    with raises(ExtractorError, "network.module-missing", folder=str(tmp_path)):
        find_network("not_there:build", tmp_path)


def test_a_package_of_the_project_is_noticed_and_may_import_its_own_modules(tmp_path):
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").touch()
    write_module(package, "inner", MODULE.replace("torch.manual_seed(1)", "import own_sibling; torch.manual_seed(1)"))
    write_module(tmp_path, "own_sibling", "")
    before = network_state("own_package.inner:build", tmp_path)
    assert load_extractor("own_package.inner:build", batch_size=4, root=tmp_path).parts["extractor"] == "mine"
    write_module(package, "inner", MODULE + "\n\n")
    assert before
    assert network_state("own_package.inner:build", tmp_path) != before


@pytest.mark.parametrize("changed", ["helper.py", "own.safetensors", "parts/inner/deep.py"])
@pytest.mark.parametrize("module", ["own_with_help", "own_pack.inner", "parts"])
def test_whatever_can_be_imported_from_the_projects_folder_is_noticed(tmp_path, module, changed):
    for name in ("own_with_help.py", "helper.py", "own.safetensors", "parts/__init__.py", "parts/inner/deep.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    (tmp_path / "parts" / "inner" / "__init__.py").touch()
    (tmp_path / "own_pack").mkdir()
    (tmp_path / "own_pack" / "inner.py").touch()
    (tmp_path / ".#helper.py").symlink_to("user@host")
    before = network_state(f"{module}:build", tmp_path)
    (tmp_path / changed).write_text("22")
    assert network_state(f"{module}:build", tmp_path) != before


def test_folders_that_are_no_packages_are_not_searched(tmp_path):
    write_module(tmp_path, "own_alone")
    for folder in ("data/lake", ".venv/lib/thing", "images"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".venv" / "lib" / "thing" / "__init__.py").touch()
    before = network_state("own_alone:build", tmp_path)
    for file in ("data/lake/a.py", ".venv/lib/thing/a.py", "images/a.safetensors"):
        (tmp_path / file).write_text("1")
    assert len(before) == 1
    assert network_state("own_alone:build", tmp_path) == before


def test_what_is_installed_comes_before_a_module_of_the_project(tmp_path, monkeypatch):
    installed, root = tmp_path / "installed", tmp_path / "project"
    for folder, name in ((installed, "installed"), (root, "projects")):
        folder.mkdir()
        write_module(folder, "own_twice", MODULE.replace('"mine"', f'"{name}"'))
    monkeypatch.syspath_prepend(installed)
    before = network_state("own_twice:build", root)
    write_module(root, "own_twice", MODULE + "\n\n")
    assert network_state("own_twice:build", root) == before
    assert find_network("own_twice:build", root).name == "installed"


@pytest.mark.parametrize(
    ("module", "text", "step", "error", "line"),
    [
        ("own_six", "def build(:\n", "import", "SyntaxError", 1),
        ("own_seven", "1 / 0\n", "import", "ZeroDivisionError", 1),
        ("own_eight", "def build():\n    return {}['a']\n", "build", "KeyError", 2),
        ("own_nine", "def build(size):\n    return size\n", "build", "TypeError", 1),
        ("own_ten", "import sys\n\ndef build():\n    sys.exit(3)\n", "build", "SystemExit", 4),
        ("own_eleven", "import sys\nsys.exit()\n", "import", "SystemExit", 2),
        ("own_12", "import json\n\ndef build():\n    json.loads('{')\n", "build", "JSONDecodeError", 4),
        (
            "own_15",
            MODULE.replace("Preprocessing(8)", "Preprocessing(8, std=(0, 0, 0))"),
            "build",
            "ExtractorError",
            10,
        ),
    ],
)
def test_what_user_code_raises_is_an_error_with_file_and_line(tmp_path, module, text, step, error, line):
    write_module(tmp_path, module, text)
    name, file = f"{module}:build", str(tmp_path / f"{module}.py")
    network_state(name, tmp_path)
    with raises(ExtractorError, "network.user-code", network=name, step=step, error=error, file=file, line=line):
        load_extractor(name, root=tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "code", "facts"),
    [
        ("own_14:build", MODULE.replace('"0", "2"', '"0", "0"'), "network.layer-repeated", {"layers": ["0"]}),
        ("own_16:build", FAILS, "network.forward", {"error": "ValueError", "size_px": 8, "line": 17}),
        (":build", "", "network.location", {"location": ":build"}),
        (".x:build", "", "network.location", {"location": ".x:build"}),
        ("local:~no_user_of_that_name/x", "", "network.folder", {}),
    ],
)
def test_an_own_network_that_cannot_serve_is_an_error(tmp_path, name, text, code, facts):
    module = name.partition(":")[0]
    if text:
        write_module(tmp_path, module, text)
        facts = {**facts, "network": name}
    network_state(name, tmp_path)
    with raises(ExtractorError, code, **facts):
        load_extractor(name, root=tmp_path)


def test_an_entry_point_that_cannot_be_imported_is_an_error(tmp_path, monkeypatch):
    point = EntryPoint("broken", "not_there_at_all:build", "dna_pipelines.extractors")
    monkeypatch.setattr("dna_pipelines.extraction.loading.registry.entry_point_extractors", lambda: {"broken": point})
    with raises(ExtractorError, "network.user-code", network="broken", entry_point="not_there_at_all:build"):
        find_network("broken", tmp_path)


def test_the_change_token_covers_the_file_of_the_ranges(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "r.json").write_text("{}")
    settings = {"name": "seeded_cnn", "ranges": "~/r.json"}
    config = ExtractorConfig.model_validate(settings, context={"root": str(tmp_path)})
    before = extractor_change_token(config)
    assert extractor_change_token(config) == before
    (tmp_path / "r.json").write_text('{"a": 1}')
    assert extractor_change_token(config) != before


def test_an_unknown_name_comes_with_the_closest_one(tmp_path):
    with raises(UnknownName, "name.network", name="mugs_vit_bas", close=["mugs_vit_base"]):
        find_network("mugs_vit_bas", tmp_path)
