"""Networks of the user's own: a function in a module, an entry point, chosen layers."""

import textwrap
from importlib.metadata import EntryPoint

import pytest
import torch
from torch import nn

from dna_pipelines.config import ExtractorConfig
from dna_pipelines.errors import ExtractorError, UnknownName
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.files.change_token import extractor_change_token, network_state
from dna_pipelines.extraction.loading import registry
from dna_pipelines.extraction.loading.registry import find_network, load_extractor, with_layers
from dna_pipelines.extraction.probing.layer_choice import default_taps
from dna_pipelines.extraction.probing.probe import probe, probe_layers
from dna_pipelines.imaging import Preprocessing
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
        ("own_15", MODULE.replace("Preprocessing(8)", "Preprocessing(8, std=(0, 0, 0))"), "build", "ValueError", 10),
    ],
)
def test_what_user_code_raises_is_an_error_with_file_and_line(tmp_path, module, text, step, error, line):
    write_module(tmp_path, module, text)
    name, file = f"{module}:build", str(tmp_path / f"{module}.py")
    network_state(name, tmp_path)
    with raises(
        ExtractorError, "network.user-code", network=name, step=step, error=error, file=file, line=line
    ) as caught:
        load_extractor(name, root=tmp_path)
    assert f"({file}:{line})" in str(caught.value)


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


class Stage(nn.Module):
    def __init__(self, width_in, width, depth):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(width_in, width, 2, 2), nn.BatchNorm2d(width))
        self.blocks = nn.Sequential(*(Cell(width) for _ in range(depth)))

    def forward(self, x):
        return self.blocks(self.down(x)).relu()


class Cell(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x):
        return x + self.convs(x)


class Staged(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 3, 1)) for _ in range(2)])
        self.body = nn.ModuleList([Stage(3, 4, 2), Stage(4, 6, 1)])
        self.norm, self.unused = nn.BatchNorm2d(6), nn.BatchNorm2d(6)

    def forward(self, x):
        for embedding in self.embeddings:
            x = embedding(x)
        for stage in self.body:
            x = stage(x)
        return self.norm(x).mean((2, 3))


def staged(taps=("norm",)):
    torch.manual_seed(0)
    return Network("n", Staged().eval(), Preprocessing(16), taps, "d", "c", "none", "")


def test_blocks_are_the_elements_of_stages_and_not_what_is_inside_them():
    assert default_taps(Staged(), 16, "n") == ("body.0.blocks.0", "body.0.blocks.1", "body.1.blocks.0", "norm")


def test_a_network_without_lists_is_refused_with_what_can_be_tapped():
    plain = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 7, 3))
    taps = default_taps(plain, 16, "n")
    bare = Network("n", plain, Preprocessing(16), taps, "d", "c", "none", "")
    with raises(ExtractorError, "network.no-layers", network="n", usable=["0", "1", "2"]):
        probe(bare, batch_size=2)
    assert probe(with_layers(bare, ("2",)), batch_size=2).layers.names == ["2"]


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (("norm", "body.0.blocks.1"), ("body.0.blocks.1", "norm")),
        (("body.*",), ("body.0", "body.1")),
        (("body.*.blocks.*",), ("body.0.blocks.0", "body.0.blocks.1", "body.1.blocks.0")),
        (("body.1.**",), None),
        (("body.[0]", "body.0"), ("body.0",)),
    ],
)
def test_layers_are_chosen_by_name_or_pattern_in_the_networks_order(patterns, chosen):
    found = with_layers(staged(), patterns).taps
    if chosen is None:
        chosen = tuple(name for name, _ in Staged().named_modules() if name.startswith("body.1."))
    assert found == chosen


class Mixed(nn.Module):
    """Layers, and what can be none: a list that never runs, a part that runs twice, one that gives no tensor."""

    class Pair(nn.Module):
        def forward(self, x):
            return {"x": x}

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)])
        self.act, self.pair, self.unused = nn.ReLU(), self.Pair(), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        for block in self.blocks:
            x = self.act(block(x))
        return self.pair(x)["x"]


def mixed():
    return Network("n", Mixed().eval(), Preprocessing(16), ("blocks.0",), "d", "c", "none", "")


def test_a_pattern_passes_over_what_cannot_be_a_layer_and_a_name_does_not():
    assert with_layers(mixed(), ("**",)).taps == ("blocks.0", "blocks.1")
    reasons = {"blocks": "not-run", "act": "repeated", "pair": "not-a-tensor", "unused": "not-run"}
    for name, reason in reasons.items():
        with raises(ExtractorError, "network.layer-unusable", network="n", layer=name, reason=reason):
            probe(with_layers(mixed(), (name,)), batch_size=2)
    usable = ["blocks.0", "blocks.1"]
    with raises(ExtractorError, "network.layer-unusable", network="n", layer="p*", usable=usable):
        with_layers(mixed(), ("p*", "blocks.0"))


@pytest.mark.parametrize(
    ("pattern", "closest"),
    [("body.0.block.1", "body.0.blocks.1"), ("zzz*", None)],
)
def test_a_pattern_of_nothing_is_refused_with_the_closest_modules(pattern, closest):
    with raises(ExtractorError, "network.layer-unknown", network="n", layer=pattern) as caught:
        with_layers(staged(), (pattern,))
    facts = caught.value.facts
    assert next(iter(facts["close"]), None) == closest
    assert facts["modules"][:2] == ["body", "body.0"]
    assert (closest or "body, body.0, ") in str(caught.value)


def test_a_module_that_cannot_be_tapped_is_refused_with_those_that_can():
    with raises(ExtractorError, "network.layer-unusable", layer="unused", reason="not-run") as caught:
        probe(staged(("norm", "unused")), batch_size=2)
    assert {"body.0", "body.0.blocks"} <= set(caught.value.facts["usable"])
    assert "body.0, body.0.blocks, " in str(caught.value)


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        blocks = (nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True, norm_first=True) for _ in range(2))
        self.blocks, self.norm = nn.ModuleList(blocks), nn.LayerNorm(8)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def test_default_layers_are_the_blocks_and_the_norm_after_the_last(monkeypatch, tmp_path):
    torch.manual_seed(0)
    bare = Network("n", Transformer(), Preprocessing(16), (), "d", "c", "none", "")
    monkeypatch.setitem(registry._FACTORIES, "bare", lambda: bare)
    assert load_extractor("bare", batch_size=2, root=tmp_path).layers.names == ["blocks.0", "blocks.1", "norm"]


class Fixed(nn.Module):
    """Images of one size only, and outputs of a shape of one's own."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        if x.shape[-1] != 16:
            raise ValueError("16 pixels only")
        return self.part(x)


class Reshape(nn.Module):
    def __init__(self, shape, width=None):
        super().__init__()
        self.shape = shape
        if width:
            self.linear = nn.Linear(1, width)

    def forward(self, x):
        return x.flatten(1)[:, : torch.Size(self.shape).numel()].reshape(len(x), *self.shape)


@pytest.mark.parametrize(
    ("shape", "width", "axis"),
    [
        ((7, 9), None, 2),  # tokens: the last
        ((7, 9), 7, 1),  # as long as the module is wide
        ((5, 4, 4), None, 1),  # a square map: the edge that differs
        ((4, 4, 5), None, 3),
        ((4, 5, 6), 6, 3),
        ((4, 4, 4), None, None),
        ((4, 5, 6), None, None),
        ((2, 2, 2, 2), None, None),
    ],
)
def test_the_axis_of_a_network_of_one_size_follows_from_widths_and_squares_or_is_refused(shape, width, axis):
    module = Fixed(Reshape(shape, width))
    network = Network("n", module, Preprocessing(16), ("part",), "d", "c", "none", "")
    if axis is None:
        reason = "batch-axis" if len(shape) > 3 else "neuron-axis"
        with raises(ExtractorError, "network.layer-unusable", layer="part", reason=reason, shape=[2, *shape]):
            probe_layers(network)
    else:
        assert probe_layers(network).axes == (axis,)
