"""Networks in the layout of transformers: written to disk, loaded by the real code, equal bit for bit."""

import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from dna_pipelines.config import ExtractorConfig
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.files.change_token import extractor_change_token
from dna_pipelines.extraction.loading.registry import find_network, load_extractor
from dna_pipelines_tests.extraction.families import FAMILIES, SIZE_PX, write_family
from dna_pipelines_tests.raising import raises

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def activations(module, names, images, **more):
    """What plain hooks see."""
    found, parts = {}, dict(module.named_modules())

    def keep(name):
        def hook(_module, _inputs, out):
            found[name] = (out[0] if isinstance(out, tuple) else out).clone()

        return hook

    hooks = [parts[name].register_forward_hook(keep(name)) for name in names]
    with torch.inference_mode():
        module(images, **more)
    for hook in hooks:
        hook.remove()
    return found


def tapped(extractor, images):
    found = {}
    extractor.taps.run(images, lambda index, out: found.update({extractor.layers.names[index]: out.clone()}))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_that_was_saved_comes_back_bit_for_bit(tmp_path, family):
    _, _, layers, axes, _ = FAMILIES[family]
    written = write_family(tmp_path / "net", family)
    extractor = load_extractor("local:net", batch_size=4, root=tmp_path)
    assert {layer.name: layer.n_neurons for layer in extractor.layers} == layers
    assert extractor.axes == axes
    images = torch.rand(4, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(3))
    more = {}
    if family == "vit_mae":
        written.config.mask_ratio = 0.0
        more = {"noise": torch.arange(16.0).expand(4, -1)}
    expected, found = activations(written, layers, images, **more), tapped(extractor, images)
    assert all(torch.equal(found[name], expected[name]) for name in layers)


def test_mae_keeps_every_patch_and_its_order(tmp_path):
    """With no patch masked or moved, MAE's encoder is a plain ViT: fed its weights, that gives the same."""
    written = write_family(tmp_path / "net", "vit_mae")
    extractor = load_extractor("local:net", batch_size=4, root=tmp_path)
    images = torch.rand(4, 3, SIZE_PX, SIZE_PX)
    first, second = tapped(extractor, images), tapped(extractor, images)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["layers.0"].shape == (4, 17, 24)
    import transformers

    plain = transformers.ViTModel(transformers.ViTConfig(**FAMILIES["vit_mae"][1]), add_pooling_layer=False).eval()
    plain.load_state_dict(written.state_dict())
    expected = activations(plain, ["layers.0", "layers.1"], images)
    torch.testing.assert_close(first["layers.1"], expected["layers.1"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", [name for name, (*_, before) in FAMILIES.items() if before is not None])
@pytest.mark.parametrize("tokens", ["cls", "patch"])
def test_tokens_can_be_chosen(tmp_path, family, tokens):
    _, _, layers, _, n_before = FAMILIES[family]
    write_family(tmp_path / "net", family)
    everything = load_extractor("local:net", batch_size=4, root=tmp_path)
    if tokens == "cls" and n_before == 0:
        with raises(ExtractorError, "network.tokens", tokens="cls", n_prefix=0):
            load_extractor("local:net", batch_size=4, root=tmp_path, tokens=tokens)
        return
    chosen = load_extractor("local:net", batch_size=4, root=tmp_path, tokens=tokens)
    images = torch.rand(4, 3, SIZE_PX, SIZE_PX)
    whole, part = tapped(everything, images), tapped(chosen, images)
    for name in layers:
        assert torch.equal(part[name], whole[name][:, :1] if tokens == "cls" else whole[name][:, n_before:])
    assert chosen.fingerprint != everything.fingerprint
    assert "tokens" not in everything.parts


def test_clip_ends_in_the_class_token_which_has_no_patches(tmp_path):
    write_family(tmp_path / "net", "clip_vision_model")
    chosen = load_extractor("local:net", batch_size=4, root=tmp_path, tokens="cls")
    assert chosen.layers.names[-1] == "post_layernorm"
    with raises(ExtractorError, "network.tokens", layer="post_layernorm", tokens="patch", shape=[2, 24]):
        load_extractor("local:net", batch_size=4, root=tmp_path, tokens="patch")
    part = load_extractor("local:net", batch_size=4, root=tmp_path, tokens="patch", layers=("encoder.layers.*",))
    assert tapped(part, torch.rand(4, 3, SIZE_PX, SIZE_PX))["encoder.layers.1"].shape == (4, 16, 24)


def test_a_whole_clip_gives_its_part_that_sees(tmp_path):
    import transformers

    torch.manual_seed(0)
    vision, text = FAMILIES["clip_vision_model"][1], {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 9}  # fmt: skip
    whole = transformers.CLIPModel(transformers.CLIPConfig(vision_config=vision, text_config=text)).eval()
    write_family(tmp_path / "net", "clip_vision_model")
    whole.save_pretrained(tmp_path / "net")
    extractor = load_extractor("local:net", batch_size=4, root=tmp_path)
    images = torch.rand(4, 3, SIZE_PX, SIZE_PX)
    names = ["encoder.layers.0", "post_layernorm"]
    expected, found = activations(whole.vision_model, names, images), tapped(extractor, images)
    assert all(torch.equal(found[name], expected[name]) for name in names)


def test_a_classifier_gives_its_backbone(tmp_path):
    """Heads are left out; the pooler that a classifier lacks is not made up."""
    import transformers

    torch.manual_seed(0)
    classifier = transformers.ViTForImageClassification(transformers.ViTConfig(**FAMILIES["vit"][1])).eval()
    write_family(tmp_path / "net", "vit")
    classifier.save_pretrained(tmp_path / "net")
    network = find_network("local:net", tmp_path)
    assert "pooler" not in dict(network.module.named_modules())
    images = torch.rand(2, 3, SIZE_PX, SIZE_PX)
    names = ["layers.0", "layernorm"]
    expected, found = activations(classifier.vit, names, images), activations(network.module, names, images)
    assert all(torch.equal(found[name], expected[name]) for name in names)


def test_weights_in_half_precision_are_used_in_float32(tmp_path):
    written = write_family(tmp_path / "net", "dinov2").half()
    written.save_pretrained(tmp_path / "net")
    module = find_network("local:net", tmp_path).module
    assert all(torch.equal(value, written.state_dict()[key].float()) for key, value in module.state_dict().items())


def test_two_copies_of_a_network_can_be_compared_whatever_they_are_called(tmp_path):
    write_family(tmp_path / "a", "dinov2")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    one, other = (load_extractor(f"local:{name}", batch_size=4, root=tmp_path) for name in "ab")
    assert one.fingerprint == other.fingerprint
    assert one.network.label != other.network.label


def test_what_changes_the_network_changes_the_key_and_the_change_token(tmp_path):
    write_family(tmp_path / "a", "dinov2", seed=0)
    base = load_extractor("local:a", batch_size=4, root=tmp_path).fingerprint
    config = ExtractorConfig.model_validate({"name": "x", "network": "local:a"}, context={"root": tmp_path})
    tokens = {extractor_change_token(config)}

    settings = json.loads((tmp_path / "a" / "config.json").read_text())
    (tmp_path / "a" / "config.json").write_text(json.dumps(settings | {"layer_norm_eps": 1e-3}))
    tokens.add(extractor_change_token(config))
    other_code = load_extractor("local:a", batch_size=4, root=tmp_path).fingerprint

    (tmp_path / "a" / "config.json").write_text(json.dumps(settings | {"id2label": {"0": "cat"}}))
    tokens.add(extractor_change_token(config))
    cosmetic = load_extractor("local:a", batch_size=4, root=tmp_path).fingerprint

    write_family(tmp_path / "a", "dinov2", seed=1)
    tokens.add(extractor_change_token(config))
    other_weights = load_extractor("local:a", batch_size=4, root=tmp_path).fingerprint
    chosen = load_extractor("local:a", batch_size=4, root=tmp_path, layers=("layernorm",)).fingerprint

    assert cosmetic == base
    assert len({base, other_code, other_weights, chosen}) == 4
    assert len(tokens) == 4


def test_the_version_of_transformers_is_in_the_compute_key(tmp_path):
    from importlib.metadata import version

    import numpy as np

    from dna_pipelines.distributions import Binning
    from dna_pipelines.dna import ActivationRanges

    write_family(tmp_path / "a", "dinov2")
    extractor = load_extractor("local:a", batch_size=4, root=tmp_path)
    n = extractor.layers.n_neurons
    zeros, ones = np.zeros(n, np.float32), np.ones(n, np.float32)
    ranges = ActivationRanges(extractor.layers, Binning(zeros, ones, 10), zeros, ones, zeros, 1, ())
    assert extractor.compute_key(ranges).parts["transformers"] == version("transformers")
    assert "transformers" not in extractor.comparability_key(ranges).parts


def test_shards_of_weights_are_read_and_a_missing_one_is_named(tmp_path):
    written = write_family(tmp_path / "whole", "dinov2")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").unlink()
    written.save_pretrained(tmp_path / "cut", max_shard_size="8KB")
    images = torch.rand(4, 3, SIZE_PX, SIZE_PX)
    whole, cut = (load_extractor(f"local:{name}", batch_size=4, root=tmp_path) for name in ("whole", "cut"))
    expected, found = tapped(whole, images), tapped(cut, images)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert whole.network.weights_digest != cut.network.weights_digest
    lost = sorted((tmp_path / "cut").glob("model-*.safetensors"))[1]
    lost.unlink()
    with raises(ExtractorError, "network.folder", folder=str(tmp_path / "cut"), missing=[lost.name]):
        load_extractor("local:cut", root=tmp_path)


def without(name):
    return lambda folder: (folder / name).unlink()


def reweighted(change):
    def rewrite(folder):
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


def reconfigured(**settings):
    def rewrite(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

    return rewrite


@pytest.mark.parametrize(
    ("damage", "facts"),
    [
        (without("config.json"), {"missing": ["config.json"]}),
        (without("preprocessor_config.json"), {"missing": ["preprocessor_config.json"]}),
        (without("model.safetensors"), {"missing": ["model.safetensors"], "pickles": []}),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            {"missing": ["model.safetensors"], "pickles": ["pytorch_model.bin"]},
        ),
    ],
)
def test_a_folder_without_a_file_is_an_error(tmp_path, damage, facts):
    write_family(tmp_path / "net", "dinov2")
    damage(tmp_path / "net")
    with raises(ExtractorError, "network.folder", folder=str(tmp_path / "net"), **facts):
        load_extractor("local:net", root=tmp_path)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_configuration_that_is_no_json_object_is_an_error(tmp_path, text):
    write_family(tmp_path / "net", "dinov2")
    path = tmp_path / "net" / "config.json"
    path.write_text(text)
    with raises(ExtractorError, "network.config", file=str(path)):
        load_extractor("local:net", root=tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        reconfigured(model_type="no-such-network"),
        reconfigured(num_attention_heads="two"),
        lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"),
    ],
)
def test_a_folder_that_transformers_cannot_load_is_an_error(tmp_path, damage):
    write_family(tmp_path / "net", "dinov2")
    damage(tmp_path / "net")
    with raises(ExtractorError, "network.architecture", network="local:net", reason="not-loadable"):
        load_extractor("local:net", root=tmp_path)


def test_the_files_of_a_network_of_texts_are_refused(tmp_path):
    write_family(tmp_path / "net", "dinov2")
    reconfigured(model_type="bert")(tmp_path / "net")
    with pytest.raises(ExtractorError) as caught:
        load_extractor("local:net", root=tmp_path)
    assert caught.value.code in ("network.architecture", "network.weights-unfit")


@pytest.mark.parametrize(
    ("damage", "problem", "tensor"),
    [
        (
            reweighted(lambda state: state.update({"encoder.layer.0.norm1.bias": torch.zeros(7)})),
            "mismatched",
            "encoder.layer.0.norm1.bias",
        ),
        (
            reweighted(lambda state: state.pop("encoder.layer.1.norm1.bias")),
            "missing",
            "encoder.layer.1.norm1.bias",
        ),
    ],
)
def test_weights_that_do_not_fit_are_an_error_with_their_names(tmp_path, damage, problem, tensor):
    write_family(tmp_path / "net", "dinov2")
    damage(tmp_path / "net")
    problems = {"missing": [], "mismatched": []} | {problem: [tensor]}
    with raises(ExtractorError, "network.weights-unfit", network="local:net", **problems) as caught:
        load_extractor("local:net", root=tmp_path)
    if problem == "mismatched":
        assert "(7,)" in str(caught.value)
        assert "(24,)" in str(caught.value)


def test_a_configuration_of_another_width_fits_no_weights(tmp_path):
    write_family(tmp_path / "net", "dinov2")
    reconfigured(hidden_size=32)(tmp_path / "net")
    with raises(ExtractorError, "network.weights-unfit", missing=[]) as caught:
        load_extractor("local:net", root=tmp_path)
    assert len(caught.value.facts["mismatched"]) > 3


def test_the_code_of_a_folder_is_never_run(tmp_path):
    write_family(tmp_path / "net", "dinov2")
    (tmp_path / "net" / "evil.py").write_text("raise SystemExit('ran')")
    reconfigured(model_type="evil", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})(tmp_path / "net")
    with raises(ExtractorError, "network.code-in-repository", network="local:net") as caught:
        load_extractor("local:net", root=tmp_path)
    # An option of transformers that the user cannot set.
    assert "trust_remote_code" not in str(caught.value)


def test_an_unusable_normalisation_is_refused_by_file_and_key(tmp_path):
    write_family(tmp_path / "net", "vit")
    path = tmp_path / "net" / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_std": [0, 0, 0]}))
    with raises(ExtractorError, "network.preprocessing-invalid", setting="image_std", value=[0, 0, 0]) as caught:
        load_extractor("local:net", root=tmp_path)
    assert caught.value.facts["where"] == "local:net, preprocessor_config.json"


def test_a_network_fed_images_of_another_size_is_an_error(tmp_path):
    write_family(tmp_path / "net", "vit")
    path = tmp_path / "net" / "preprocessor_config.json"
    path.write_text(path.read_text().replace("32", "40"))
    with raises(ExtractorError, "network.forward", size_px=40) as caught:
        load_extractor("local:net", root=tmp_path)
    assert caught.value.facts["network"].startswith("local:net, ")
    assert path.name in caught.value.facts["network"]


def test_without_transformers_the_error_has_the_extra(tmp_path, monkeypatch):
    write_family(tmp_path / "net", "dinov2")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with raises(ExtractorError, "network.extra-missing", package="transformers", extra="hf"):
        find_network("local:net", tmp_path)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\ntags: [vision]\n---\n# A network", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: dinov3-license\n---\n", "dinov3-license"),
        ("# A network without a head", "unknown: see its model card"),
        ("---\nlicense: [\n---\n", "unknown: see its model card"),
        (None, "unknown: see its model card"),
    ],
)
def test_the_licence_comes_from_the_model_card(tmp_path, card, licence):
    write_family(tmp_path / "net", "dinov2")
    if card is not None:
        (tmp_path / "net" / "README.md").write_text(card)
    assert find_network("local:net", tmp_path).licence == licence
