"""The one thing Dagster loads: the definitions of the project that DNA_ROOT or the working folder names."""

from dna_pipelines.orchestration.build import build_defs
from dna_pipelines.pipeline.project import Project

defs = build_defs(Project.find())
