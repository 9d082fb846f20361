"""The reference implementation, if it is there."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

HOW_TO_GET = "the reference implementation is missing: pip install --no-deps vdna==0.1.1"
HOW_TO_GET_PIPELINE = (
    "the reference's own pipeline is missing: pip install --no-deps vdna==0.1.1 torchvision==0.28.0, and "
    "huggingface_hub, scipy and tqdm; into an environment for benchmarks, because that torchvision goes with torch 2.13"
)


def reference() -> ModuleType | None:
    """`vdna.utils.stats`, or None.

    Its file is loaded by itself, because importing the package wants torchvision, OpenCV and the
    Hugging Face hub, none of which its arithmetic uses.
    """
    package = find_spec("vdna")
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(package.submodule_search_locations[0]) / "utils" / "stats.py"
    spec = spec_from_file_location("vdna_stats", path)
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spare_torchvision() -> None:
    """Let a torchvision without compiled operators be imported, as transformers does where it finds one.

    The torchvision of PyPI is built for CUDA: under torch for CPUs its operators are missing, and this module of it,
    which only describes them, cannot be imported. Nothing here uses them.
    """
    sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))


def reference_pipeline() -> ModuleType | None:
    """The package `vdna`, with its networks, its loading of images and its fitting loop, or None."""
    if any(find_spec(name) is None for name in ("vdna", "torchvision", "huggingface_hub", "scipy", "tqdm")):
        return None
    spare_torchvision()
    import vdna
    import vdna.networks.dino_vit
    import vdna.networks.random_resnet50

    return vdna
