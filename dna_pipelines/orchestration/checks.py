"""The checks of this package as Dagster's asset checks, which show results and block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from dna_pipelines.orchestration.partitions import DATASETS
from dna_pipelines.project.checks import Check


@dataclass(frozen=True)
class CheckKind:
    """The static properties of a check."""

    description: str
    blocking: bool


MANIFEST_CHECKS = {
    "readable": CheckKind("The share of unreadable images is at most `checks.max_unreadable`.", blocking=True),
    "not_empty": CheckKind("The dataset has at least one readable image.", blocking=False),
    "enough_images": CheckKind(
        "The dataset has enough images and groups to compare (`checks.min_images`, `min_groups`).",
        blocking=False,
    ),
}
"""The checks of a manifest by name."""

DNA_CHECKS = {
    "within_ranges": CheckKind(
        "The share of activations outside the calibrated ranges is at most `checks.max_clipped`.", blocking=True
    ),
    "comparable": CheckKind("The DNA was measured in the same way as the other DNAs of the extractor.", blocking=True),
}
"""The checks of a DNA by name."""


def check_specs(key: dg.AssetKey, checks: Mapping[str, CheckKind]) -> list[dg.AssetCheckSpec]:
    """Specifications per partition, so that a dataset that fails blocks its own assets only."""
    return [
        dg.AssetCheckSpec(
            name, asset=key, description=kind.description, blocking=kind.blocking, partitions_def=DATASETS
        )
        for name, kind in checks.items()
    ]


def check_evaluations(key: dg.AssetKey, partition: str, checks: Sequence[Check]) -> list[dg.AssetCheckEvaluation]:
    """The results of checks as events, for one dataset of several."""
    return [
        dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=check.name,
            passed=check.passed,
            metadata={name: dg.MetadataValue.float(float(value)) for name, value in check.figures.items()},
            severity=_severity(check),
            description=check.message,
            blocking=check.blocking,
            partition=partition,
        )
        for check in checks
    ]


def check_results(key: dg.AssetKey, checks: Sequence[Check]) -> list[dg.AssetCheckResult]:
    """The results of checks."""
    return [
        dg.AssetCheckResult(
            asset_key=key,
            check_name=check.name,
            passed=check.passed,
            metadata=dict(check.figures),
            severity=_severity(check),
            description=check.message,
        )
        for check in checks
    ]


def _severity(check: Check) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
