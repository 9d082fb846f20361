"""Where the partials of a DNA are."""

from __future__ import annotations

from dna_pipelines.errors import LakeError
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import DnaRecord


def partial_place(project: ProjectFolder, record: DnaRecord, shard: str) -> str:
    """The compute key under which a shard of a DNA lies.

    Raises:
        LakeError: when it is gone.
    """
    place = project.lake.fingerprints.find_partial(record.comparability_key, record.compute_keys[0], shard)
    if place is None:
        raise LakeError(
            f"the partial of shard {shard} is gone, so the images of {record.made_for or record.dna_id} cannot be "
            f"told apart; restore {project.lake.layout.root / 'partials'} from a copy, or remove "
            f"{project.lake.layout.dna_record(record.dna_id)} and run `dna run`"
        )
    return place
