"""Checks: what a manifest or a DNA must fulfil before anything is built on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dna_pipelines.config import DatasetConfig
from dna_pipelines.credentials import without_credentials
from dna_pipelines.storage import Commit, DnaRecord


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Attributes:
        name: of the check.
        passed: whether the dataset or DNA fulfils it.
        message: what was measured, and what to do if it fails.
        blocking: whether a failure blocks everything built on the dataset; other datasets are not affected.
        figures: what was measured, by name. Dagster plots them over time.
    """

    name: str
    passed: bool
    message: str
    blocking: bool
    figures: Mapping[str, float] = field(default_factory=dict)


def check_manifest(dataset: DatasetConfig, commit: Commit) -> list[Check]:
    """Check a manifest: the readable share, whether it is empty, and whether it has enough images and groups."""
    bounds = dataset.checks
    readable = check_readable(dataset, commit.n_images, commit.n_quarantined + commit.n_lost, commit.n_unknown)
    not_empty = Check(
        "not_empty",
        commit.n_images > 0,
        f"{commit.n_images:,} readable images at {without_credentials(dataset.uri)}"
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


def check_readable(dataset: DatasetConfig, n_images: int, n_unreadable: int, n_unknown: int = 0) -> Check:
    """Check the share of readable images: the only check of a manifest that blocks.

    Args:
        dataset: its entry in the datasets file, with the bound.
        n_images: images that can be read.
        n_unreadable: images that cannot; an archive, table or folder counts as the images that are missing for it.
        n_unknown: archives, tables and folders of which it is not known how many images they hold. They may hold most
            of the dataset, so that each of them blocks, unless the bound is 1.
    """
    n_all, bound = n_images + n_unreadable, dataset.checks.max_unreadable
    share = n_unreadable / n_all if n_all else 0.0
    unknown = (
        f", and {n_unknown:,} archives, tables or folders of unknown size could never be read" if n_unknown else ""
    )
    return Check(
        "readable",
        share <= bound and (n_unknown == 0 or bound >= 1),
        f"{n_unreadable:,} of {n_all:,} images are unreadable{unknown} ({share:.1%}; the bound is "
        f"{bound:.1%}). `dna scan {dataset.name}` lists them; checks.max_unreadable is the bound",
        blocking=True,
        figures={"unreadable_share": share},
    )


def check_dna(dataset: DatasetConfig, record: DnaRecord | None, comparability_key: str) -> list[Check]:
    """Check a DNA: the clipped share, and whether it can be compared with the others.

    An empty dataset has no DNA, and passes.
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
            "If these images are as they should be, run `dna calibrate` to measure the ranges again",
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
    """Why checks block what is built on a dataset; None if none does."""
    return "; ".join(check.message for check in checks if check.blocking and not check.passed) or None
