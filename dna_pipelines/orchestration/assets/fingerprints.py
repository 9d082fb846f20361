"""The assets of one extractor: ranges, DNAs, distances and the matrix."""

import dagster as dg
from pydantic import Field

from dna_pipelines.analysis.matrix import find_matrix
from dna_pipelines.config import ExtractorConfig
from dna_pipelines.extraction.files.change_token import extractor_change_token
from dna_pipelines.identity import stable_hash
from dna_pipelines.orchestration.checks import DNA_CHECKS
from dna_pipelines.orchestration.describe import describe_dna, describe_matrix, describe_pairs, describe_ranges
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
    """Measure them again although they exist. Every DNA of the extractor is then computed again."""
    anew: bool = False
    """The name of `replace` in version 0.1."""
    on: list[str] = Field(default_factory=list)
    """Datasets to measure them on, instead of those of the datasets file."""
    file: str = ""
    """A file to read them from, instead of measuring."""


def fingerprint_assets(extractor: ExtractorConfig, condition: dg.AutomationCondition) -> list[dg.AssetsDefinition]:
    """The assets of one extractor: a change of another extractor does not affect them."""
    ranges_key, dna_key, distances_key, matrix_key = (
        key_of(extractor.name, name) for name in ("ranges", "dna", "distances", "matrix")
    )
    group = extractor.identifier
    code = extractor_change_token(extractor)
    # What computes imports torch, which takes seconds, so it is imported when a step runs.

    @dg.asset(
        key=ranges_key,
        deps=[MANIFEST],
        code_version=code,
        kinds={"pytorch"},
        group_name=group,
        pool=EXTRACTION,
        automation_condition=condition,
    )
    def ranges(
        context: dg.AssetExecutionContext, config: Calibration, project_resource: InjectedProject
    ) -> dg.MaterializeResult:
        """Activation ranges: the histogram edges of every neuron, measured once and then frozen.

        New datasets do not change them, because DNAs can only be compared on the same edges. Launch with
        `replace: true` to measure them again.
        """
        from dna_pipelines.update.calibration import ensure_ranges

        with step(context, project_resource, lambda: code):
            activation_ranges, measured = ensure_ranges(
                project_resource.project,
                extractor,
                project_resource.shown(context),
                replace=config.replace or config.anew,
                on=config.on,
                file=config.file,
            )
            project_resource.recorder.measured_ranges[extractor.name] = measured
        return dg.MaterializeResult(
            metadata=describe_ranges(activation_ranges, measured=measured),
            data_version=dg.DataVersion(activation_ranges.id),
        )

    def dna(context: dg.AssetExecutionContext, project_resource: ProjectResource, name: str) -> Made:
        """The dataset's fingerprint: the distribution of every neuron's activations over its images.

        Only images that no stored partial covers go through the network.
        """
        from dna_pipelines.update.fingerprint import fit

        project = project_resource.project
        with step(context, project_resource, lambda: dna_input(project, extractor.name, name), name):
            dataset = project.file.dataset(name)
            fitted = fit(project, dataset, extractor, project_resource.shown(context))
            project_resource.recorder.fitted[extractor.name, name] = FingerprintReport.of(fitted)
        version = fitted.record.dna_id if fitted.record else "empty"
        checks = check_dna(dataset, fitted.record, fitted.comparability_key)
        return Made(describe_dna(project, fitted), version, checks)

    @dg.asset(
        key=distances_key,
        deps=[dna_key],
        code_version="1",
        kinds={"parquet"},
        group_name=group,
        automation_condition=condition,
    )
    def distances(context: dg.AssetExecutionContext, project_resource: InjectedProject) -> dg.MaterializeResult:
        """Distances per layer between all datasets, and of each dataset to its previous version.

        Only pairs with a new DNA are computed.
        """
        project = project_resource.project
        with step(context, project_resource, lambda: stable_hash(wanted_pairs(project, extractor.name).missing)):
            updated = update_pairs(project, extractor.name, project_resource.shown(context))
            project_resource.recorder.pairs[extractor.name] = PairsReport.of(updated)
        return dg.MaterializeResult(
            metadata=describe_pairs(updated), data_version=dg.DataVersion(stable_hash(sorted(updated.dnas.items())))
        )

    @dg.asset(
        key=matrix_key,
        deps=[distances_key],
        code_version="1",
        kinds={"duckdb"},
        group_name=group,
        automation_condition=condition,
    )
    def matrix(context: dg.AssetExecutionContext, project_resource: InjectedProject) -> dg.MaterializeResult:
        """The comparison matrix, with its heat map."""
        project = project_resource.project
        with step(context, project_resource, lambda: matrix_id(wanted_pairs(project, extractor.name))) as shown:
            shown_matrix = find_matrix(project, extractor.name)
            metadata = describe_matrix(project, shown_matrix)
            project.lake.distances.note_drawn(extractor.name, shown)
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(stable_hash(shown_matrix.to_json())))

    dnas = asset_per_dataset(
        dna_key,
        dna,
        DNA_CHECKS,
        deps=[MANIFEST, ranges_key],
        code_version=code,
        kinds={"pytorch", "parquet"},
        group_name=group,
        pool=EXTRACTION,
        automation_condition=condition,
    )
    return [ranges, dnas, distances, matrix]
