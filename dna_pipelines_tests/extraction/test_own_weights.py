"""Networks of the user's own are identified by their weights, and must be plain modules."""

import textwrap

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.loading import own_networks
from dna_pipelines.extraction.loading.registry import find_network, load_extractor
from dna_pipelines_tests.raising import raises

MODULE = """
    from pathlib import Path

    import torch
    from safetensors.torch import load_file
    from torch import nn
    from dna_pipelines.extraction.extractor import Network
    from dna_pipelines.imaging import Preprocessing

    EXAMPLE = torch.zeros(1, 3, 8, 8)

    def build():
        torch.manual_seed(1)
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        return Network("mine", module, Preprocessing(8), ("0", "1"), "said", "mine/1", "none", "")
"""

SAVED = MODULE.replace(
    "torch.manual_seed(1)", 'tensors = load_file(Path(__file__).with_name("own.safetensors"))'
).replace("return", "module.load_state_dict(tensors)\n        return")


def written(root, name, text):
    (root / f"{name}.py").write_text(textwrap.dedent(text))
    return f"{name}:build"


@pytest.mark.parametrize("moved", ["0.weight", "1.running_mean"])
def test_other_weights_are_another_network_even_with_the_same_declared_digest(tmp_path, moved):
    network = written(tmp_path, f"weights_{moved.replace('.', '_')}", SAVED)
    tensors = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()
    digests = []
    for step in (0, 0, 1):
        tensors[moved].flatten()[0] += step
        save_file(tensors, tmp_path / "own.safetensors")
        digests.append(find_network(network, tmp_path).weights_digest)
    assert digests[0] == digests[1] != digests[2]


class Adapter(nn.Linear):
    """Saves its bias alone."""

    def state_dict(self, *arguments, **named):
        return {"bias": super().state_dict(*arguments, **named)["bias"]}


def test_weights_that_a_network_does_not_save_count_too():
    module = Adapter(2, 2)
    before = own_networks._digests(module, "mine")
    module.weight.data += 1
    assert {part for part, digest in own_networks._digests(module, "mine").items() if digest != before[part]} == {
        "weight"
    }


def test_the_declared_digest_counts_too(tmp_path):
    names = (written(tmp_path, "weights_a", MODULE), written(tmp_path, "weights_b", MODULE.replace("said", "else")))
    digests = {find_network(name, tmp_path).weights_digest for name in names}
    assert len(digests) == 2
    assert {len(digest) for digest in digests} == {64}


def test_every_kind_of_tensor_has_a_digest_and_only_its_own():
    kinds = [torch.zeros(2, dtype=kind) for kind in (torch.float32, torch.bfloat16, torch.bool, torch.complex64)]
    kinds += [torch.zeros(()), torch.zeros(0), torch.zeros(0, 2), torch.zeros(1, 2), torch.ones(2), torch.ones(2, 1)]
    kinds += [torch.eye(2).to_sparse(), torch.eye(3)[:, ::2]]
    digests = [own_networks._digest(tensor) for tensor in kinds]
    assert len(set(digests)) == len(kinds)
    assert own_networks._digest(torch.eye(3)[:, ::2].clone()) == digests[-1]


@pytest.mark.parametrize(
    ("name", "old", "new", "facts"),
    [
        ("lazy", "nn.Conv2d(3, 4,", "nn.LazyConv2d(4,", {"reason": "lazy", "parameters": ["0.weight", "0.bias"]}),
        (
            "meta",
            '"mine", module',
            '"mine", module.to("meta")',
            {"reason": "unreadable-weights", "error": "NotImplementedError"},
        ),
        ("scripted", '"mine", module', '"mine", torch.jit.script(module)', {"reason": "scripted"}),
        ("traced", '"mine", module', '"mine", torch.jit.trace(module.eval(), EXAMPLE)', {"reason": "scripted"}),
        (
            "program",
            '"mine", module',
            '"mine", torch.export.export(module.eval(), (EXAMPLE,))',
            {"reason": "not-a-module", "module": "ExportedProgram"},
        ),
        (
            "exported",
            '"mine", module',
            '"mine", torch.export.export(module.eval(), (EXAMPLE,)).module()',
            {"reason": "no-evaluation-mode", "error": "NotImplementedError"},
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_anything_but_a_plain_module_is_refused_with_the_reason(tmp_path, name, old, new, facts):
    assert old in MODULE
    network = written(tmp_path, f"weights_{name}", MODULE.replace(old, new))
    with raises(ExtractorError, "network.not-plain", network=network, **facts):
        load_extractor(network, batch_size=2, root=tmp_path)


def test_weights_that_differ_each_time_are_refused(tmp_path):
    network = written(tmp_path, "weights_unseeded", MODULE.replace("torch.manual_seed(1)", ""))
    with raises(ExtractorError, "network.weights-vary", network=network, parameters=["0.bias", "0.weight"]):
        load_extractor(network, batch_size=2, root=tmp_path)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_scripted_part_cannot_be_a_layer(tmp_path):
    text = MODULE.replace("nn.BatchNorm2d(4)", "torch.jit.script(nn.BatchNorm2d(4))")
    network = written(tmp_path, "weights_scripted_part", text)
    with raises(ExtractorError, "network.layer-unusable", network=network, layer="1", reason="not-run", usable=["0"]):
        load_extractor(network, batch_size=2, root=tmp_path)
