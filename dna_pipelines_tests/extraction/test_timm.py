"""Networks of timm, if it can be imported, and the errors if it cannot."""

import sys
import types

import pytest
import torch
from safetensors.torch import save_file

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.loading.registry import find_network
from dna_pipelines.extraction.probing.probe import probe
from dna_pipelines_tests.raising import raises


@pytest.fixture
def timm(tmp_path, monkeypatch):
    """timm itself. A torchvision built for another torch does: only its Python parts are used."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", _no_connection)
    if "torchvision" not in sys.modules:
        stub = "torchvision._meta_registrations"
        monkeypatch.setitem(sys.modules, stub, types.ModuleType(stub))
    try:
        return __import__("timm")
    except ImportError:
        pytest.skip("timm is not installed")


def _no_connection(*_, **__):
    raise ConnectionError("no connection in tests")


def put(timm, root, name):
    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False).eval()
    folder = root / "data" / "weights"
    folder.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, folder / f"{name}.safetensors")
    return module


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "n_layers", "last"),
    [
        ("resnet18.a1_in1k", 8, ("layer4.1", 512)),
        ("vit_tiny_patch16_224.augreg_in21k", 13, ("norm", 192)),
    ],
)
def test_a_network_of_timm_comes_back_bit_for_bit(timm, tmp_path, name, n_layers, last):
    written = put(timm, tmp_path, name)
    extractor = probe(find_network(f"timm:{name}", tmp_path), batch_size=2)
    assert len(extractor.layers) == n_layers
    assert (extractor.layers.names[-1], extractor.layers.layers[-1].n_neurons) == last
    images, found, expected = torch.rand(2, 3, 224, 224), {}, {}
    hook = written.get_submodule(last[0]).register_forward_hook(lambda _m, _i, out: expected.update(out=out.clone()))
    with torch.inference_mode():
        written(images)
    hook.remove()
    extractor.taps.run(images, lambda index, out: found.update({extractor.layers.names[index]: out.clone()}))
    assert torch.equal(found[last[0]], expected["out"])
    assert "apache" in extractor.network.licence


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "available"),
    [("resnet18", "resnet18.a1_in1k"), ("no_such_network.x", None)],
)
def test_unknown_names_are_refused_with_those_of_the_architecture(timm, tmp_path, name, available):
    with raises(ExtractorError, "network.unknown-weights", network=f"timm:{name}") as caught:
        find_network(f"timm:{name}", tmp_path)
    assert available in [*caught.value.facts["available"], None]
    assert bool(caught.value.facts["available"]) == bool(available)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_missing_weights_come_with_their_address(timm, tmp_path):
    url = "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"
    with raises(ExtractorError, "network.weights-missing", network="resnet18.a1_in1k", url=url):
        find_network("timm:resnet18.a1_in1k", tmp_path)


def test_without_timm_the_error_has_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with raises(ExtractorError, "network.extra-missing", package="timm", extra="timm"):
        find_network("timm:resnet18.a1_in1k", tmp_path)


@pytest.mark.parametrize(
    "error", ["RuntimeError('operator torchvision::nms does not exist')", "ImportError('no torchvision')"]
)
def test_a_broken_torchvision_is_an_error(tmp_path, monkeypatch, error):
    (tmp_path / "timm.py").write_text(f"raise {error}")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with raises(ExtractorError, "network.library-broken", package="timm", needs="torchvision"):
        find_network("timm:resnet18.a1_in1k", tmp_path)
