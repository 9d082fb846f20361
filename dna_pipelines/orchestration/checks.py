"""The pipeline's checks, as Dagster shows them and lets them block."""

from collections.abc import Sequence

import dagster as dg

from dna_pipelines.orchestration.partitions import DATASETS
from dna_pipelines.pipeline.checks import Check

MANIFEST_CHECKS = {"readable": True, "not_empty": False, "enough_images": False}
"""Names of the checks of a manifest, and whether they block."""

DNA_CHECKS = {"within_ranges": True, "comparable": True}
"""Likewise of a DNA."""


def check_specs(key: dg.AssetKey, checks: dict[str, bool]) -> list[dg.AssetCheckSpec]:
    """Specifications per partition, so that one bad dataset withholds its own children only."""
    return [
        dg.AssetCheckSpec(name, asset=key, blocking=blocking, partitions_def=DATASETS)
        for name, blocking in checks.items()
    ]


def check_evaluations(key: dg.AssetKey, partition: str, checks: Sequence[Check]) -> list[dg.AssetCheckEvaluation]:
    """What the checks found, as events of one dataset of several."""
    return [
        dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=check.name,
            passed=check.passed,
            metadata={},
            severity=_severity(check),
            description=check.said,
            blocking=check.blocking,
            partition=partition,
        )
        for check in checks
    ]


def check_results(key: dg.AssetKey, checks: Sequence[Check]) -> list[dg.AssetCheckResult]:
    """What the checks found."""
    return [
        dg.AssetCheckResult(
            asset_key=key,
            check_name=check.name,
            passed=check.passed,
            severity=_severity(check),
            description=check.said,
        )
        for check in checks
    ]


def _severity(check: Check) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
