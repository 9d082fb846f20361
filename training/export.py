"""From a checkpoint to what is shipped: folded weights, activation ranges, and the card that names both."""

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
"""Formula images, of all families in turn, that the activation ranges are measured on."""


class NotFinished(Exception):
    """The training has steps left."""


def export(
    folder: Path, into: Path, *, threads: int = 2, unfinished: bool = False, n_images: int = N_CALIBRATION
) -> Path:
    """Write the three files of the embedded extractor.

    Args:
        folder: of a training.
        into: where they go.
        threads: processes that draw fields, if they are to be drawn again.
        unfinished: also export what is not at its last step, to look at it.
        n_images: that the activation ranges are measured on.

    Returns:
        The card.

    Raises:
        NotFinished: when the training is not, and nothing else was asked for.
    """
    path = folder / CHECKPOINT
    plan, step, spent_s = checkpoint.read_facts(path)
    if step < plan.n_steps and not unfinished:
        raise NotFinished(f"{path} is at step {step:,} of {plan.n_steps:,}; `python -m training run` goes on with it")
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
    """Views as the training saw them, as PNG files by their digest."""
    fields = kept_fields(folder, plan.n_classes, plan.n_fields, plan.seed, threads)
    generator = torch.Generator().manual_seed(plan.seed)
    images = {}
    for start in range(0, n_images, plan.batch):
        at = np.arange(start, start + plan.batch)
        some = torch.from_numpy(fields[at % plan.n_classes, at // plan.n_classes % plan.n_fields])
        for view in look(some, labelled_palettes(plan.seed), plan.large, generator).images:
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
