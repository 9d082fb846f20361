"""Networks of timm, where it can be imported; and what is said where it cannot."""

import sys
import types

import pytest
import torch
from safetensors.torch import save_file

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.loading.registry import find_network
from dna_pipelines.extraction.probing.probe import probe


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
    ("name", "message"),
    [
        ("resnet18", "it has: .*resnet18.a1_in1k"),
        ("no_such_network.x", "timm has no such weights"),
        (
            "resnet18.a1_in1k",
            r"get https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors and put",
        ),
    ],
)
def test_names_and_weights_that_are_not_there_are_messages(timm, tmp_path, name, message):
    with pytest.raises(ExtractorError, match=message):
        find_network(f"timm:{name}", tmp_path)


def test_without_timm_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ExtractorError, match=r"timm"):
        find_network("timm:resnet18.a1_in1k", tmp_path)


@pytest.mark.parametrize(
    "error", ["RuntimeError('operator torchvision::nms does not exist')", "ImportError('no torchvision')"]
)
def test_a_broken_torchvision_is_a_message(tmp_path, monkeypatch, error):
    (tmp_path / "timm.py").write_text(f"raise {error}")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ExtractorError, match="needs the torchvision that belongs to the installed torch"):
        find_network("timm:resnet18.a1_in1k", tmp_path)
