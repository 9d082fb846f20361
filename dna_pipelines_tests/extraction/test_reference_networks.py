"""The networks of the reference: the same layers, from its published layouts, giving its own numbers.

`golden/networks.json` holds what the reference's classes made of the same noise. The published weights
themselves are no part of the tests.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.files.catalogue import KNOWN, REFERENCE
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.networks.checkpoint_names import clip_names, vit_names
from dna_pipelines.extraction.networks.checkpoints import load_state, read_state
from dna_pipelines.extraction.networks.reference import _PLANS, reference_network, skeleton
from dna_pipelines.extraction.networks.vit import VisionTransformer
from dna_pipelines.extraction.probing.probe import probe_layers
from dna_pipelines.extraction.taps import Taps, neurons_second
from dna_pipelines_tests.golden.noise import images, published_state, summary
from dna_pipelines_tests.raising import raises

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "networks.json").read_text())
PARAMETERS = {
    "mugs_vit_base": 85_798_656,
    "mugs_vit_large": 303_301_632,
    "dino_vit_base": 85_798_656,
    "dino_resnet50": 23_508_032,
    "clip_im_vit_b16": 85_799_424,
    "inception": 21_785_568,
    "vgg16": 14_714_688,
    "rand_resnet50": 23_508_032,
}


@pytest.fixture(autouse=True)
def _nothing_fetched_before(tmp_path, monkeypatch):
    for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("DNA_WEIGHTS", raising=False)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", _no_connection)


def _no_connection(*_, **__):
    raise ConnectionError("no connection in tests")


def checkpoint(name):
    """What was published, with heads of one number: no test needs them, and they are most of VGG's file."""
    heads = ("classifier.", "fc.", "head.")
    shapes = [(key, [1] if key.startswith(heads) else shape) for key, shape in GOLDEN[name]["shapes"]]
    return {key: torch.from_numpy(values) for key, values in published_state(shapes).items()}


def thin(name):
    """The same names with little behind them: three numbers a tensor, so that they can be cut and joined."""
    shapes = [(key, [3, 1] if len(shape) > 1 else [3]) for key, shape in GOLDEN[name]["shapes"]]
    return {key: torch.from_numpy(values) for key, values in published_state(shapes).items()}


def put_weights(root, name, state, suffix=".pth"):
    path = root / "data" / "weights" / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("name", PARAMETERS)
def test_architectures_have_the_published_number_of_parameters(name):
    assert sum(parameter.numel() for parameter in skeleton(name).module.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("known", REFERENCE, ids=lambda known: known.name)
def test_what_is_listed_is_what_probing_finds(known):
    """Shapes are all that is asked for, so the network runs without values."""
    layers = probe_layers(skeleton(known.name), device="meta").layers
    assert (len(layers), layers.n_neurons) == (known.n_layers, known.n_neurons)
    if known.name in GOLDEN:
        assert {layer.name: layer.n_neurons for layer in layers} == GOLDEN[known.name]["widths"]


SMALL = {
    "small vit": (lambda: VisionTransformer(192, 2, 3), vit_names),
    "small clip": (lambda: VisionTransformer(192, 2, 3, clip=True), clip_names),
}


@pytest.mark.parametrize(
    "name",
    [
        *SMALL,
        "dino_resnet50",
        "vgg16",
        "inception",
        *(
            pytest.param(name, marks=pytest.mark.campaign)
            for name in ("dino_vit_base", "mugs_vit_base", "clip_im_vit_b16")
        ),
    ],
)
def test_activations_are_those_of_the_reference(name):
    golden = GOLDEN[name]
    plan = None if name in SMALL else _PLANS[name]
    make, rename = SMALL[name] if plan is None else (plan.module, plan.rename)
    module = make().eval()
    load_state(module, checkpoint(name), rename, Path(name))
    found = {}
    Taps(module, module.layers).run(
        torch.from_numpy(images(1, golden["size_px"])),
        lambda index, out: found.update(
            {module.layers[index]: summary(neurons_second(out, out.ndim - 1 if out.ndim < 4 else 1))}
        ),
    )
    assert list(found) == list(golden["layers"])
    for layer, numbers in golden["layers"].items():
        scale = max(abs(numbers[0]), numbers[1])
        assert found[layer] == pytest.approx(numbers, rel=2e-4, abs=2e-4 * scale), layer


def test_a_checkpoint_of_mugs_is_unwrapped_and_loses_its_relation_block(tmp_path):
    state = thin("mugs_vit_base")
    path = put_weights(tmp_path, "mugs_vit_base", {"epoch": 3, "state_dict": state})
    renamed = vit_names(read_state(path))
    assert renamed.keys() == skeleton("mugs_vit_base").module.state_dict().keys()
    assert torch.equal(renamed["block_7.qkv.weight"], state["blocks.7.attn.qkv.weight"])
    assert torch.equal(renamed["last_norm.bias"], state["norm.bias"])
    assert any(key.startswith("relation_blocks.") for key in state)


def test_clip_is_read_in_the_layout_of_transformers_too():
    """The same tensors under the names of either give the same tower."""
    openai = thin("clip_im_vit_b16")
    theirs = {}
    plain = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}  # fmt: skip
    for key, tensor in openai.items():
        if key.startswith("visual.transformer.resblocks."):
            _, _, _, index, rest = key.split(".", 4)
            block = f"vision_model.encoder.layers.{index}"
            module, _, kind = rest.rpartition(".")
            if rest.startswith("attn.in_proj_"):
                for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                    theirs[f"{block}.self_attn.{letter}_proj.{rest.removeprefix('attn.in_proj_')}"] = part
            else:
                theirs[f"{block}.{plain[module]}.{kind}"] = tensor
    theirs |= {
        "vision_model.embeddings.class_embedding": openai["visual.class_embedding"],
        "vision_model.embeddings.position_embedding.weight": openai["visual.positional_embedding"],
        "vision_model.embeddings.position_ids": torch.arange(197)[None],
        "vision_model.embeddings.patch_embedding.weight": openai["visual.conv1.weight"],
        **{f"vision_model.pre_layrnorm.{kind}": openai[f"visual.ln_pre.{kind}"] for kind in ("weight", "bias")},
        **{f"vision_model.post_layernorm.{kind}": openai[f"visual.ln_post.{kind}"] for kind in ("weight", "bias")},
        "text_model.final_layer_norm.weight": torch.ones(3),
        "visual_projection.weight": openai["visual.proj"],
        "logit_scale": openai["logit_scale"],
    }
    one, other = clip_names(openai), clip_names(theirs)
    assert one.keys() == other.keys() == skeleton("clip_im_vit_b16").module.state_dict().keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_an_old_checkpoint_without_counters_runs(tmp_path):
    state = {key: value for key, value in checkpoint("dino_resnet50").items() if "num_batches" not in key}
    put_weights(tmp_path, "dino_resnet50", state, ".safetensors")
    module = reference_network("dino_resnet50", tmp_path).module.eval()
    assert all(tensor.device.type == "cpu" for tensor in module.state_dict().values())
    with torch.inference_mode():
        assert module(torch.from_numpy(images(1, 32))).isfinite().all()


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["dino_resnet50", "dino_vit_base", "inception"])
def test_a_file_of_weights_becomes_an_extractor(tmp_path, name):
    put_weights(tmp_path, name, checkpoint(name))
    extractor = load_extractor(name, batch_size=8, root=tmp_path)
    assert {layer.name: layer.n_neurons for layer in extractor.layers} == GOLDEN[name]["widths"]


def test_weights_in_half_precision_become_float32(tmp_path):
    state = {key: value.half() if value.is_floating_point() else value for key, value in checkpoint("vgg16").items()}
    put_weights(tmp_path, "vgg16", state)
    assert {tensor.dtype for tensor in reference_network("vgg16", tmp_path).module.state_dict().values()} == {
        torch.float32
    }


def test_the_digest_is_that_of_the_file_wherever_it_lies(tmp_path, monkeypatch):
    path = put_weights(tmp_path, "vgg16", checkpoint("vgg16"))
    first = reference_network("vgg16", tmp_path)
    monkeypatch.setenv("DNA_WEIGHTS", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    path.rename(tmp_path / "elsewhere" / "vgg16.pth")
    second = reference_network("vgg16", tmp_path)
    assert first.weights_digest == second.weights_digest
    put_weights(tmp_path, "vgg16", checkpoint("vgg16") | {"features.0.bias": torch.zeros(64)})
    monkeypatch.delenv("DNA_WEIGHTS")
    assert reference_network("vgg16", tmp_path).weights_digest != first.weights_digest


def test_what_torch_hub_fetched_for_the_reference_is_found(tmp_path, monkeypatch):
    path = put_weights(tmp_path, "vgg16", checkpoint("vgg16"))
    checkpoints = tmp_path / "torch-home" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    path.rename(checkpoints / "vgg16-397923af.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch-home"))
    assert reference_network("vgg16", tmp_path).taps[0] == "relu_1_1"


@pytest.mark.parametrize("known", REFERENCE, ids=lambda known: known.name)
def test_missing_weights_are_an_error_with_address_and_path(tmp_path, known):
    url = KNOWN[known.name].published.origin
    file = str(tmp_path / "data" / "weights" / f"{known.name}{Path(url).suffix}")
    # Only those on the hub are downloaded.
    download = "network.hub-unavailable" if known.published.hub_repo else None
    facts = {"network": known.name, "url": url, "file": file, "download": download}
    with raises(ExtractorError, "network.weights-missing", **facts):
        reference_network(known.name, tmp_path)


@pytest.mark.parametrize(
    ("change", "problem", "tensor"),
    [
        (lambda state: state.pop("features.5.bias"), "missing", "relu_2_1.conv.bias"),
        (lambda state: state.update({"features.99.bias": torch.zeros(3)}), "unknown", "features.99.bias"),
        (lambda state: state.update({"features.0.bias": torch.zeros(3)}), "mismatched", "relu_1_1.conv.bias"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, problem, tensor):
    state = checkpoint("vgg16")
    change(state)
    file = put_weights(tmp_path, "vgg16", state)
    problems = {"missing": [], "unknown": [], "mismatched": []} | {problem: [tensor]}
    with raises(ExtractorError, "network.weights-unfit", file=str(file), **problems):
        reference_network("vgg16", tmp_path)


def test_a_file_without_weights_is_refused(tmp_path):
    file = put_weights(tmp_path, "vgg16", {})
    with raises(ExtractorError, "network.weights-unreadable", file=str(file)):
        reference_network("vgg16", tmp_path)


class Bomb:
    def __reduce__(self):
        return (print, ("a pickle ran code",))


def test_a_pickle_with_anything_but_tensors_is_refused(tmp_path, capsys):
    file = put_weights(tmp_path, "vgg16", {"state_dict": Bomb()})
    with raises(ExtractorError, "network.weights-unreadable", file=str(file), error="UnpicklingError"):
        reference_network("vgg16", tmp_path)
    assert "ran code" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*jit.*:DeprecationWarning")
def test_a_torchscript_archive_is_refused(tmp_path):
    path = tmp_path / "data" / "weights" / "clip_im_vit_b16.pt"
    path.parent.mkdir(parents=True)
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with raises(ExtractorError, "network.unsafe-file", file=str(path)):
        reference_network("clip_im_vit_b16", tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_file_is_an_error(tmp_path, suffix):
    path = put_weights(tmp_path, "vgg16", {"features.0.bias": torch.zeros(64)}, suffix)
    path.write_bytes(path.read_bytes()[:90])
    with raises(ExtractorError, "network.weights-unreadable", file=str(path)):
        reference_network("vgg16", tmp_path)
