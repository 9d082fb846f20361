"""From a checkpoint to the files that are shipped: folded weights, activation ranges, and the card that names both."""

from __future__ import annotations

import hashlib
import json
import math
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.files.catalogue import KNOWN
from dna_pipelines.extraction.files.weight_files import digest_of_files
from dna_pipelines.extraction.networks.builtin import MEASURED, NAME, network_of, write_ranges
from dna_pipelines.extraction.probing.probe import probe
from training import checkpoint
from training.fields import kept_fields
from training.formulas import FAMILIES, FIELD_PX
from training.network import folded
from training.palettes import N_PALETTES, labelled_palettes
from training.plan import Plan
from training.train import CHECKPOINT, learner_of, optimizer_of
from training.views import look

N_CALIBRATION = 1536
"""The number of formula images, from all families in turn, on which the activation ranges are measured."""


class NotFinished(Exception):
    """The training has steps left.

    Attributes:
        step: number of steps done.
        n_steps: number of steps of the plan.
    """

    def __init__(self, path: Path, step: int, n_steps: int) -> None:
        super().__init__(f"{path} is at step {step:,} of {n_steps:,}; `python -m training run` continues it")
        self.step, self.n_steps = step, n_steps


def export(
    folder: Path, into: Path, *, threads: int = 2, unfinished: bool = False, n_images: int = N_CALIBRATION
) -> Path:
    """Write the three files of the embedded extractor.

    Args:
        folder: of a training.
        into: the folder to write to.
        threads: processes that draw the fields, if they must be drawn again.
        unfinished: whether to export a training that has steps left, to inspect it.
        n_images: number of images on which the activation ranges are measured.

    Returns:
        The path of the card.

    Raises:
        NotFinished: when the training has steps left, and `unfinished` is false.
    """
    path = folder / CHECKPOINT
    plan, step, spent_s = checkpoint.read_facts(path)
    if step < plan.n_steps and not unfinished:
        raise NotFinished(path, step, plan.n_steps)
    learner = learner_of(plan)
    checkpoint.load(path, learner, optimizer_of(learner, plan), plan)
    body = folded(learner.body)
    into.mkdir(parents=True, exist_ok=True)
    weights, ranges, card = (into / f"{NAME}{suffix}" for suffix in (".safetensors", ".ranges.safetensors", ".json"))
    save_file({key: value.contiguous() for key, value in body.state_dict().items()}, weights)
    images = calibration_images(plan, folder, threads, n_images)
    extractor = probe(network_of(body, digest_of_files([weights]), taps=MEASURED))
    write_ranges(ranges, calibrate(extractor, list(images), ("formulas",), images.__getitem__, workers=1))
    card.write_text(
        json.dumps(_card(plan, step, spent_s, weights, ranges, n_images), indent=2) + "\n", encoding="utf-8"
    )
    return card


def calibration_images(plan: Plan, folder: Path, threads: int, n_images: int) -> dict[str, bytes]:
    """Views like those of the training, as PNG files by their digest."""
    fields = kept_fields(folder, plan.n_classes, plan.n_fields, plan.seed, threads)
    generator = torch.Generator().manual_seed(plan.seed)
    images = {}
    for start in range(0, n_images, plan.batch):
        at = np.arange(start, start + plan.batch)
        batch = torch.from_numpy(fields[at % plan.n_classes, at // plan.n_classes % plan.n_fields])
        for view in look(batch, labelled_palettes(plan.seed), plan.large, generator).images:
            buffer = BytesIO()
            Image.fromarray((255 * view).round().byte().permute(1, 2, 0).numpy()).save(buffer, "PNG")
            images[hashlib.sha256(buffer.getvalue()).hexdigest()] = buffer.getvalue()
    return images


def _card(plan: Plan, step: int, spent_s: float, weights: Path, ranges: Path, n_images: int) -> dict[str, object]:
    files = {
        key: {"name": path.name, "sha256": digest_of_files([path]), "bytes": path.stat().st_size}
        for key, path in (("weights", weights), ("ranges", ranges))
    }
    families = {family.name: family.n_classes for family in FAMILIES}
    return {
        "name": NAME,
        "summary": KNOWN[NAME].summary,
        "licence": "Apache-2.0",
        **files,
        "trained_on": {
            "what": "images drawn from formulas; no photograph, no label of a person, no data of others",
            "classes_of_family": families,
            "classes_used": plan.n_classes,
            "fields": f"{plan.n_fields} of {FIELD_PX} px for each class",
            "palettes_with_label": N_PALETTES,
            "calibration": f"{n_images} such images",
        },
        "training": {
            **plan.to_json(),
            "steps_done": step,
            "samples_seen": step * plan.batch,
            "duration_min": math.ceil(spent_s / 60),
            "torch": torch.__version__,
            "command": "python -m training run",
        },
    }
