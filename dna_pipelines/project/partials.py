"""Finding the partials of a DNA."""

from __future__ import annotations

from dna_pipelines.errors import LakeError
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import DnaRecord


def partial_location(project: ProjectFolder, record: DnaRecord, shard: str) -> str:
    """The compute key under which the partial of a shard of a DNA is stored.

    Raises:
        LakeError: when it is missing.
    """
    location = project.lake.fingerprints.find_partial(record.comparability_key, record.compute_keys[0], shard)
    if location is None:
        raise LakeError(
            f"the partial of shard {shard} is missing, so the images of {record.made_for or record.dna_id} cannot be "
            f"distinguished; restore {project.lake.layout.root / 'partials'} from a copy, or remove "
            f"{project.lake.layout.dna_record(record.dna_id)} and run `dna run`",
            code="lake.partial-missing",
            shard=shard,
            dna_id=record.dna_id,
        )
    return location
