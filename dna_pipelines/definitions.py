"""The one thing Dagster loads: the definitions of the project that DNA_ROOT or the working folder names."""

from dna_pipelines.orchestration.build import build_defs
from dna_pipelines.project.project import ProjectFolder

defs = build_defs(ProjectFolder.find())
