"""One step of a run in a process of its own, which prints its peak memory in MiB."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from dna_pipelines.project.image_bytes import reader
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update import extractors as loading
from dna_pipelines.update import fingerprint, ingest


def main(root: str, dataset: str, step: str) -> None:
    project = ProjectFolder(Path(root))
    config, extractor = project.file.dataset(dataset), project.config().extractors[0]
    if step == "refresh":
        ingest.refresh(project, config)
    elif step == "fit":
        fitted = fingerprint.fit(project, config, extractor)
        if fitted.work.n_images_extracted != fitted.commit.n_images:
            raise RuntimeError("some partials were there already, so this is not what was to be measured")
    else:
        loading.load(extractor)
        commit = project.lake.versions.latest(dataset)
        manifest = project.lake.versions.manifest(commit)
        reader(project, config, manifest)
    print(peak_mib())


def peak_mib() -> float:
    """Of this program alone: `ru_maxrss` of a child can be the peak of the parent that started it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
