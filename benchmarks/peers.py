"""The reference implementation, if it is there."""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

HOW_TO_GET = "the reference implementation is missing: pip install --no-deps vdna==0.1.1"


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
