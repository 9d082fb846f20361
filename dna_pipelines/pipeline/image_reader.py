"""Reading images of a project again: what cannot be read any more is said, and is not fatal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dna_pipelines.errors import DnaError, SourceChanged, SourceError, UnknownName, Unreadable
from dna_pipelines.imaging import decode
from dna_pipelines.manifests import ImageRow, Manifest
from dna_pipelines.pipeline.project import Project

CANNOT_BE_READ = "cannot be read"


class ImageReader:
    """Reads images of a dataset's versions by digest.

    Args:
        project: where the dataset is.
        dataset: its name.
        rows: images of any of its versions; those that were renamed since are found under their new names.
    """

    def __init__(self, project: Project, dataset: str, rows: Sequence[ImageRow]) -> None:
        self._project, self._dataset = project, dataset
        self._rows = tuple(rows)
        self._read: Callable[[str], bytes] | None = None

    def bytes_of(self, digest: str) -> bytes:
        """The bytes of an image that can be decoded.

        Raises:
            Unreadable: saying why it cannot be read any more.
        """
        try:
            self._read = self._read or self._reader()
            data = self._read(digest)
        except UnknownName as error:
            raise Unreadable(
                CANNOT_BE_READ, f"{self._dataset} is no longer in the datasets file, which says how it is read"
            ) from error
        except (SourceChanged, SourceError) as error:
            raise Unreadable(CANNOT_BE_READ, str(error).removesuffix("; run again")) from error
        decode(data)
        return data

    def _reader(self) -> Callable[[str], bytes]:
        # What reads lies beside what extracts, which needs torch.
        from dna_pipelines.pipeline.fingerprint import reader

        config = self._project.file.dataset(self._dataset)
        manifests = [Manifest(self._rows, ())]
        if latest := self._project.lake.versions.latest(self._dataset):
            manifests.append(self._project.lake.versions.manifest(latest))
        return reader(self._project, config, *manifests)


def read_all(reader: ImageReader, digests: Sequence[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The bytes of those images that can be read, and why the others cannot."""
    found, problems = {}, {}
    for digest in digests:
        try:
            found[digest] = reader.bytes_of(digest)
        except DnaError as error:
            problems[digest] = str(error)
    return found, problems
