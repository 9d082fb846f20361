"""Checks: what has to hold of a manifest or a DNA before anything is built on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dna_pipelines.config import DatasetConfig
from dna_pipelines.storage import Commit, DnaRecord


@dataclass(frozen=True)
class Check:
    """One finding. A blocking check that fails withholds what comes after, of that dataset alone.

    `figures` are what it looked at, for those who want to see how they move over time.
    """

    name: str
    passed: bool
    said: str
    blocking: bool
    figures: Mapping[str, float] = field(default_factory=dict)


def check_manifest(dataset: DatasetConfig, commit: Commit) -> list[Check]:
    """Readable share, emptiness, and enough images and groups."""
    bounds, readable = dataset.checks, check_readable(dataset, commit.n_images, commit.n_quarantined)
    not_empty = Check(
        "not_empty",
        commit.n_images > 0,
        f"{commit.n_images:,} readable images at {dataset.uri}"
        + (f" ({commit.remark})" if commit.remark and not commit.n_images else ""),
        blocking=False,
        figures={"n_images": commit.n_images},
    )
    enough = commit.n_images >= bounds.min_images and (not dataset.group_by or commit.n_groups >= bounds.min_groups)
    groups = f" in {commit.n_groups:,} groups" if dataset.group_by else ""
    enough_images = Check(
        "enough_images",
        enough,
        f"{commit.n_images:,} images{groups}; at least {bounds.min_images:,} images"
        + (f" and {bounds.min_groups:,} groups are wanted" if dataset.group_by else " are wanted"),
        blocking=False,
        figures={"n_images": commit.n_images, **({"n_groups": commit.n_groups} if dataset.group_by else {})},
    )
    return [readable, not_empty, enough_images]


def check_readable(dataset: DatasetConfig, n_images: int, n_quarantined: int) -> Check:
    """Readable share: the one check of a manifest that blocks."""
    n_files, bound = n_images + n_quarantined, dataset.checks.max_unreadable
    share = n_quarantined / n_files if n_files else 0.0
    return Check(
        "readable",
        share <= bound,
        f"{n_quarantined:,} of {n_files:,} files are unreadable ({share:.1%}; the bound is "
        f"{bound:.1%}). `dna scan {dataset.name}` lists them; checks.max_unreadable is the bound",
        blocking=True,
        figures={"unreadable_share": share},
    )


def check_dna(dataset: DatasetConfig, record: DnaRecord | None, comparability_key: str) -> list[Check]:
    """Clipping, and that the DNA is one that the others can be compared with.

    An empty dataset has no DNA, and nothing to find fault with.
    """
    if record is None:
        nothing = "the dataset is empty, so there is no DNA"
        return [Check(name, True, nothing, blocking=True) for name in ("within_ranges", "comparable")]
    bound = dataset.checks.max_clipped
    return [
        Check(
            "within_ranges",
            record.clipped_share <= bound,
            f"{record.clipped_share:.3%} of all activations are outside the calibrated ranges (bound: {bound:.1%}). "
            "If these images are the new normal, `dna calibrate` measures the ranges anew",
            blocking=True,
            figures={"clipped_share": record.clipped_share},
        ),
        Check(
            "comparable",
            record.comparability_key == comparability_key,
            f"measured with comparability key {record.comparability_key}, the extractor's is {comparability_key}",
            blocking=True,
        ),
    ]


def blocked(checks: list[Check]) -> str | None:
    """Why what comes after is withheld; None if it is not."""
    return "; ".join(check.said for check in checks if check.blocking and not check.passed) or None
