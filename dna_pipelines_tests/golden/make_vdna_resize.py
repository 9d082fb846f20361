"""Writes vdna_0.1.1_resize.npz: images, and the results of the reference's own resize.

By hand, once: `pip install --no-deps vdna==0.1.1`, then `python -m dna_pipelines_tests.golden.make_vdna_resize`.
Only `vdna/utils/im.py` is loaded. It imports torchvision for what comes after the resize, which is not used here.
"""

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np

SIZES = ((61, 47, 24), (20, 33, 40), (90, 12, 16))
"""Height and width of the image, and the edge after resizing: smaller, larger, and one of each."""


def reference_module():
    stand_in = ModuleType("torchvision.transforms")
    stand_in.Compose = stand_in.Normalize = stand_in.ToTensor = None
    sys.modules.setdefault("torchvision", ModuleType("torchvision"))
    sys.modules.setdefault("torchvision.transforms", stand_in)
    path = Path(find_spec("vdna").submodule_search_locations[0]) / "utils" / "im.py"
    spec = spec_from_file_location("vdna_im", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    build, rng, arrays = reference_module().build_resizer, np.random.default_rng(20_230_621), {}
    for number, (height, width, size) in enumerate(SIZES):
        smooth = np.kron(rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3)), np.ones((8, 8, 1)))[
            :height, :width
        ]
        image = np.clip(smooth + rng.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)
        arrays[f"image_{number}"] = image
        arrays[f"resized_{number}"] = build("clean", (size, size))(image)
    np.savez_compressed(Path(__file__).with_name("vdna_0.1.1_resize.npz"), **arrays)


if __name__ == "__main__":
    main()
