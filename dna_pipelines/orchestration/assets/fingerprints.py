"""The assets of one extractor: ranges, DNAs, distances and the matrix."""

import dagster as dg
from pydantic import Field

from dna_pipelines.analysis.matrix import find_matrix
from dna_pipelines.config import ExtractorConfig
from dna_pipelines.extraction.files.change_token import extractor_change_token
from dna_pipelines.identity import stable_hash
from dna_pipelines.orchestration.checks import DNA_CHECKS
from dna_pipelines.orchestration.describe import (
    Metadata,
    describe_dna,
    describe_matrix,
    describe_pairs,
    describe_ranges,
)
from dna_pipelines.orchestration.keys import MANIFEST, key_of
from dna_pipelines.orchestration.per_dataset import Made, asset_per_dataset
from dna_pipelines.orchestration.project_resource import InjectedProject, ProjectResource
from dna_pipelines.orchestration.steps import step
from dna_pipelines.project.checks import check_dna
from dna_pipelines.update.pairs import matrix_id, update_pairs, wanted_pairs
from dna_pipelines.update.report import FingerprintReport, PairsReport
from dna_pipelines.update.staleness import dna_input

EXTRACTION = "extraction"
"""The pool of steps that use every core, or the GPU."""


class Calibration(dg.Config):
    """How to measure activation ranges."""

    replace: bool = False
    """Measure them again, even if they exist. Every DNA of the extractor is then recomputed."""
    anew: bool = False
    """The name of `replace` in version 0.1."""
    on: list[str] = Field(default_factory=list)
    """Datasets to measure them on, instead of those of the datasets file."""
    file: str = ""
    """A file to read them from, instead of measuring."""


def fingerprint_assets(extractor: ExtractorConfig, condition: dg.AutomationCondition) -> list[dg.AssetsDefinition]:
    """The assets of one extractor: a change of another extractor does not affect them."""
    token = extractor_change_token(extractor)
    return [
        _ranges_asset(extractor, condition, token),
        _dna_asset(extractor, condition, token),
        _distances_asset(extractor, condition),
        _matrix_asset(extractor, condition),
    ]


def _ranges_asset(extractor: ExtractorConfig, condition: dg.AutomationCondition, token: str) -> dg.AssetsDefinition:
    """The activation ranges; `token` changes with the files of the network."""

    @dg.asset(
        key=key_of(extractor.name, "ranges"),
        deps=[MANIFEST],
        code_version=token,
        kinds={"pytorch"},
        pool=EXTRACTION,
        group_name=extractor.identifier,
        automation_condition=condition,
    )
    def ranges(
        context: dg.AssetExecutionContext, config: Calibration, project_resource: InjectedProject
    ) -> dg.MaterializeResult:
        """Activation ranges: the edges of every neuron's histogram, measured once and then frozen.

        New datasets do not change them, because only DNAs with the same edges can be compared. Launch with
        `replace: true` to measure them again.
        """
        # It imports torch, which takes seconds.
        from dna_pipelines.update.calibration import ensure_ranges

        with step(context, project_resource, lambda: token):
            activation_ranges, measured = ensure_ranges(
                project_resource.project,
                extractor,
                project_resource.shown(context),
                replace=config.replace or config.anew,
                on=config.on,
                file=config.file,
            )
            project_resource.recorder.measured_ranges[extractor.name] = measured
        return _result(describe_ranges(activation_ranges, measured=measured), activation_ranges.id)

    return ranges


def _dna_asset(extractor: ExtractorConfig, condition: dg.AutomationCondition, token: str) -> dg.AssetsDefinition:
    """The DNAs; `token` changes with the files of the network."""

    def dna(context: dg.AssetExecutionContext, project_resource: ProjectResource, name: str) -> Made:
        """The dataset's fingerprint: the distribution of every neuron's activations over its images.

        Only images that are in no stored partial go through the network.
        """
        # It imports torch, which takes seconds.
        from dna_pipelines.update.fingerprint import fit

        project = project_resource.project
        with step(context, project_resource, lambda: dna_input(project, extractor.name, name), name):
            dataset = project.file.dataset(name)
            fitted = fit(project, dataset, extractor, project_resource.shown(context))
            project_resource.recorder.fitted[extractor.name, name] = FingerprintReport.of(fitted)
        version = fitted.record.dna_id if fitted.record else "empty"
        checks = check_dna(dataset, fitted.record, fitted.comparability_key)
        return Made(describe_dna(project, fitted), version, checks)

    return asset_per_dataset(
        key_of(extractor.name, "dna"),
        dna,
        DNA_CHECKS,
        deps=[MANIFEST, key_of(extractor.name, "ranges")],
        code_version=token,
        kinds={"pytorch", "parquet"},
        pool=EXTRACTION,
        group_name=extractor.identifier,
        automation_condition=condition,
    )


def _distances_asset(extractor: ExtractorConfig, condition: dg.AutomationCondition) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(extractor.name, "distances"),
        deps=[key_of(extractor.name, "dna")],
        code_version="1",
        kinds={"parquet"},
        group_name=extractor.identifier,
        automation_condition=condition,
    )
    def distances(context: dg.AssetExecutionContext, project_resource: InjectedProject) -> dg.MaterializeResult:
        """Distances per layer between all datasets, and from each dataset to its previous version.

        Only pairs with a new DNA are computed.
        """
        project = project_resource.project
        with step(context, project_resource, lambda: stable_hash(wanted_pairs(project, extractor.name).missing)):
            updated = update_pairs(project, extractor.name, project_resource.shown(context))
            project_resource.recorder.pairs[extractor.name] = PairsReport.of(updated)
        return _result(describe_pairs(updated), stable_hash(sorted(updated.dnas.items())))

    return distances


def _matrix_asset(extractor: ExtractorConfig, condition: dg.AutomationCondition) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(extractor.name, "matrix"),
        deps=[key_of(extractor.name, "distances")],
        code_version="1",
        kinds={"duckdb"},
        group_name=extractor.identifier,
        automation_condition=condition,
    )
    def matrix(context: dg.AssetExecutionContext, project_resource: InjectedProject) -> dg.MaterializeResult:
        """The comparison matrix, with its heat map."""
        project = project_resource.project
        with step(context, project_resource, lambda: matrix_id(wanted_pairs(project, extractor.name))) as drawn:
            current = find_matrix(project, extractor.name)
            metadata = describe_matrix(project, current)
            project.lake.distances.note_drawn(extractor.name, drawn)
        return _result(metadata, stable_hash(current.to_json()))

    return matrix


def _result(metadata: Metadata, data_version: str) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(data_version))
