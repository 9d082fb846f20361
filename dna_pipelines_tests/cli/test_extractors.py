"""`dna extractors`, and whole runs with a network of the user."""

import hashlib
import subprocess
import sys

import pytest

from dna_pipelines.extraction.files.catalogue import KNOWN
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests.cli.conftest import write_image
from dna_pipelines_tests.extraction.families import write_family

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _nothing_fetched_before(tmp_path, monkeypatch):
    for name in ("HF_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("DNA_WEIGHTS", raising=False)


def test_extractors_are_listed(project, dna):
    rows = {row["extractor"]: row for row in dna("extractors", "--json").json}
    assert rows.keys() == KNOWN.keys()
    assert [name for name, row in rows.items() if row["used_here"]] == ["builtin"]
    assert rows["builtin"]["neurons"] == dna("compare", "d0", "d1", "--json").json["n_neurons"]
    shown = dna("extractors").out
    assert "builtin (used here)" in shown
    assert all(known.licence in shown for known in KNOWN.values())
    assert all(kind in shown for kind in ("hf:ORG/REPO", "timm:", "local:FOLDER", "MODULE:FUNCTION"))


def test_weights_that_are_here_show_their_digest_and_others_where_to_put_them(project, dna):
    file = project / "data" / "weights" / "vgg16.pth"
    file.parent.mkdir()
    file.write_bytes(b"weights")
    rows = {row["extractor"]: row for row in dna("extractors", "--json").json}
    assert rows["vgg16"]["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert rows["inception"]["weights_sha256"] is None
    assert "https://github.com/mseitzer/pytorch-fid/" in rows["inception"]["weights"]
    assert str(project / "data" / "weights" / "inception.pth") in rows["inception"]["weights"]


@pytest.mark.campaign
def test_extractors_of_the_datasets_file_are_listed_by_what_they_load(project, dna, settings):
    write_family(project / "models" / "mine", "dinov2")
    (project / "models" / "mine" / "README.md").write_text("---\nlicense: mit\n---\n")
    entries = [
        "{name: mine, network: 'local:models/mine'}",
        "{name: gone, network: 'local:models/gone'}",
        "{name: far, network: 'hf:org/net@v1'}",
        "{name: blocks, network: mugs_vit_base, layers: ['block_*']}",
        "{name: own, network: 'my_networks:build'}",
        "{name: not_mine, network: 'no_networks:build'}",
    ]
    (project / "my_networks.py").write_text("")
    settings("datasets:\n", "extractors:\n" + "".join(f"  - {entry}\n" for entry in entries) + "datasets:\n")
    rows = {row["extractor"]: row for row in dna("extractors", "--json").json if row["group"] == "this project"}
    digest = hashlib.sha256((project / "models" / "mine" / "model.safetensors").read_bytes()).hexdigest()
    assert (rows["mine"]["weights_sha256"], rows["mine"]["licence"]) == (digest, "mit")
    assert "config.json" in rows["gone"]["weights"]
    assert "hf download org/net --revision v1" in rows["far"]["weights"]
    assert (rows["blocks"]["layers"], rows["blocks"]["licence"]) == (None, "Apache-2.0")
    assert "my_networks:build" in rows["own"]["weights"]
    assert "no_networks" in rows["not_mine"]["weights"]
    states = {name: row["state"] for name, row in rows.items() if row["state"] != "here"}
    assert states == {"gone": "missing", "far": "to fetch", "blocks": "to fetch", "not_mine": "missing"}
    assert "mine = local:models/mine (used here)" in dna("extractors").out


def test_listing_loads_neither_torch_nor_transformers(tmp_path):
    code = (
        "import sys; from typer.testing import CliRunner; import dna_pipelines.cli.main; "
        "from dna_pipelines.cli.app import app; result = CliRunner().invoke(app, ['extractors', '--json']); "
        "assert result.exit_code == 0, result.output; print({'torch', 'transformers', 'dagster'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "set()"


def test_one_network_is_shown_layer_by_layer(project, dna):
    found = dna("extractors", "seeded_vit", "--json").json
    assert found["each_layer"] == {"blocks.0": 64, "blocks.1": 64, "blocks.2": 64, "norm": 64}
    assert (found["neurons"], found["input_px"], len(found["weights_sha256"])) == (256, 64, 64)
    assert found["preprocessing"]["size_px"] == 64
    shown = dna("extractors", "seeded_vit").out
    assert all(text in shown for text in ("blocks.1", "256", found["weights_sha256"], found["licence"]))


def test_neurons_that_have_names_are_shown_with_them_and_missing_weights_as_none(project, dna):
    found = dna("extractors", "scattering", "--json").json
    assert (found["weights"], found["weights_sha256"]) == ("none", None)
    assert found["neuron_names"]["lowpass"] == ["luminance low-pass", "blue-yellow low-pass", "red-green low-pass"]
    shown = dna("extractors", "scattering").out
    assert all(text in shown for text in ("none", found["licence"], "luminance octave2 vertical"))


def test_a_network_can_be_shown_before_it_is_in_the_datasets_file(project, dna):
    write_family(project / "net", "convnext")
    found = dna("extractors", "local:net", "--json").json
    assert found["each_layer"]["encoder.stages.1.layers.0"] == 12
    assert not found["used_here"]


@pytest.mark.parametrize(
    ("name", "code", "names"),
    [
        ("seeded_vi", "name.network", ["'seeded_vit'"]),
        ("local:nowhere", "network.folder", ["nowhere", "config.json"]),
        ("no_module:build", "network.module-missing", ["no_module"]),
        ("inception", "network.weights-missing", ["https://", "inception.pth"]),
    ],
)
def test_a_network_that_cannot_be_shown_is_an_error(project, dna, name, code, names):
    said = dna("extractors", name)
    assert (said.code, said.error) == (1, code)
    assert said.names(*names)


BROKEN = """
import torch
from torch import nn
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.imaging import Preprocessing

class Broken(nn.Module):
    def forward(self, x):
        return x if len(x) < 4 else 1 / 0

class Noise(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)

def network(module):
    return Network("mine", nn.Sequential(module), Preprocessing(8), ("0",), "d", "mine/1", "none", "")

def nan():
    torch.manual_seed(1)
    module = nn.Conv2d(3, 4, 3)
    nn.init.constant_(module.bias, float("nan"))
    return network(module)

def random():
    return network(Noise())

def raises():
    return network(Broken())
"""


@pytest.mark.parametrize(
    ("function", "code", "names"),
    [
        ("nan", "network.not-finite", ["NaN"]),
        ("random", "network.random", []),
        ("raises", "network.forward", ["ZeroDivisionError: division by zero"]),
    ],
)
def test_a_network_that_cannot_serve_is_an_error_that_names_its_extractor(
    project, dna, settings, function, code, names
):
    (project / "broken_networks.py").write_text(BROKEN)
    shown = dna("extractors", f"broken_networks:{function}")
    assert shown.code == 1
    assert shown.names(f"broken_networks:{function}", *names)
    assert shown.error == code
    settings(
        "datasets:\n",
        f"extractors: [{{name: builtin}}, {{name: other, network: 'broken_networks:{function}'}}]\ndatasets:\n",
    )
    ran = dna("run")
    assert ran.code == 1
    assert ran.names("other", f"broken_networks:{function}")
    bad = [row for row in dna("doctor", "--json").json if not row["ok"]]
    assert any("other" in row["what"] and "broken_networks" in row["message"] for row in bad)


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """A project of two datasets whose extractor is a folder of safetensors."""
    root = tmp_path / "brought"
    write_family(root / "models" / "net", "dinov2")
    for number in range(2):
        for image in range(6):
            write_image(root / f"d{number}" / f"{image}.png", 10 * number + image, 255 // (number + 1))
    (root / "data").mkdir()
    (root / "data" / "datasets.yaml").write_text(
        "extractors:\n  - {name: mine, network: 'local:models/net', tokens: patch, batch_size: 4}\n"
        "datasets:\n  - {name: d0, uri: d0}\n  - {name: d1, uri: d1}\n"
    )
    monkeypatch.chdir(root)
    return root


@pytest.mark.campaign
def test_a_whole_run_with_a_network_from_a_folder(brought, dna):
    first = dna("run", "--json")
    assert first.code == 0, first.err
    assert first.json["pairs"]["mine"]["n_pairs_computed"] == 1
    compared = dna("compare", "d0", "d1", "--json").json
    assert [layer["layer"] for layer in compared["layers"]] == ["encoder.layer.0", "encoder.layer.1", "layernorm"]
    assert compared["emd_bins"] > 0
    rows = dna("sql", "SELECT sum(n_values)::INT AS n FROM dna WHERE layer = 'layernorm'", "--json").json
    # 2 datasets of 6 images, 16 patches each, 24 neurons.
    assert rows == [{"n": 2 * 6 * 16 * 24}]
    assert dna("extractors", "mine", "--json").json["neurons"] == 72
    assert dna("doctor").code == 0


def test_renaming_an_extractor_computes_nothing_again(brought):
    """Its name is none of what decides the activations."""

    def fitted(name):
        file = brought / "data" / "datasets.yaml"
        file.write_text(file.read_text().replace("name: mine", f"name: {name}"))
        project = ProjectFolder(brought)
        config = project.config()
        for dataset in config.datasets:
            refresh(project, dataset)
        ensure_ranges(project, config.extractors[0])
        return [fit(project, dataset, config.extractors[0]) for dataset in config.datasets]

    first, second = fitted("mine"), fitted("renamed")
    assert [one.work.n_computed for one in first] == [1, 1]
    assert [one.work.n_computed for one in second] == [0, 0]
    assert [one.record.dna_id for one in first] == [one.record.dna_id for one in second]


def test_the_doctor_names_the_missing_file_of_a_network(brought, dna):
    (brought / "models" / "net" / "model.safetensors").unlink()
    said = dna("doctor", "--json")
    assert said.code == 1
    bad = [row for row in said.json if not row["ok"]]
    assert any("mine" in row["what"] and "model.safetensors" in row["message"] for row in bad)


PRINTS = """
import torch
from torch import nn
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.imaging import Preprocessing

print("importing")

class Prints(nn.Conv2d):
    def forward(self, x):
        print("forward")
        return super().forward(x)

def build():
    print("building", flush=True)
    torch.manual_seed(1)
    return Network("mine", nn.Sequential(Prints(3, 4, 3)), Preprocessing(8), ("0",), "d", "mine/1", "none", "")
"""


def test_what_a_network_prints_is_no_result(project, dna, settings):
    (project / "printing_network.py").write_text(PRINTS)
    shown = dna("extractors", "printing_network:build", "--json")
    assert shown.json["layers"] == 1
    assert all(word in shown.err for word in ("importing", "building", "forward"))
    settings("datasets:\n", "extractors: [{name: mine, network: 'printing_network:build'}]\ndatasets:\n")
    assert dna("run", "--json").json["calibrated"] == ["mine"]
    assert "mine" in dna("extractors").out


def test_a_reader_who_left_is_no_failure_of_a_network_that_prints(project):
    (project / "printing_network.py").write_text(PRINTS)
    command = f"{sys.executable} -m dna_pipelines.cli.main extractors printing_network:build"
    ended = subprocess.run(
        ["bash", "-c", f"{command} 2>&1 >/dev/null | :; echo ${{PIPESTATUS[0]}}"], check=False, stdout=-1, text=True
    )
    assert ended.stdout == "0\n"
