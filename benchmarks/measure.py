"""Measuring side by side, and the rows of the results."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A figure beside what it is compared with. Rows without a target are context."""

    what: str
    ours: str
    other: str
    ratio: str
    target: str = ""
    met: bool | None = None
    note: str = ""

    @property
    def outcome(self) -> str:
        return {None: "", True: "met", False: "**missed**"}[self.met]


class Rounds:
    """Seconds of several things that took turns, so that all of them saw the same disturbances."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        self.seconds = seconds

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self, above: str, below: str) -> float:
        """Of the medians."""
        return self.median(above) / self.median(below)

    def spread(self, above: str, below: str, scale: float = 1.0) -> str:
        """The smallest and the largest ratio of a single round."""
        pairs = zip(self.seconds[above], self.seconds[below], strict=True)
        ratios = [scale * a / b for a, b in pairs]
        return f"single rounds {min(ratios):.2g} to {max(ratios):.2g}"


def alternate(n_rounds: int, *, warm_up: bool = True, **functions: Callable[[], object]) -> Rounds:
    """Call every function once a round, in turns; a first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(-1 if warm_up else 0, n_rounds):
        for name, function in functions.items():
            elapsed = timed(function)[0]
            if number >= 0:
                seconds[name].append(elapsed)
    return Rounds(seconds)


def timed(function: Callable[[], object]) -> tuple[float, object]:
    """Seconds and result of one call."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def machine() -> list[str]:
    """What the figures depend on; nothing that says whose machine it is."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.machine()
    packages = ("numpy", "numba", "torch", "pyarrow", "duckdb", "pillow", "simplejpeg", "triton", "dna_pipelines")
    versions = ", ".join(f"{name} {found}" for name in packages if (found := _version(name)))
    return [
        f"Processor: {model}, {os.cpu_count()} cores; {platform.system()}.",
        *_gpu(),
        f"Python {platform.python_version()}, {versions}.",
        f"Date: {date.today().isoformat()}.",  # noqa: DTZ011 (the day where it was run)
    ]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _gpu() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return []
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return [f"GPU: {names}; CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}."]


def python_path() -> dict[str, str]:
    """The environment for a child that imports this package from wherever it is."""
    here = str(Path(__file__).resolve().parents[1])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
