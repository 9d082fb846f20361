"""Reading images of a project again: images that can no longer be read are reported, and do not stop the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import DnaError, SourceChanged, SourceError, UnknownName, Unreadable
from dna_pipelines.identity import digest_of
from dna_pipelines.imaging import decode
from dna_pipelines.manifests import ImageRow, Manifest, ReadImage
from dna_pipelines.project.project import ProjectFolder

CANNOT_BE_READ = "cannot be read"


class ImageReader:
    """Reads images of a dataset's versions by digest.

    Args:
        project: with the dataset.
        dataset: its name.
        rows: images of any of its versions; images that were renamed since are read under their new names.
    """

    def __init__(self, project: ProjectFolder, dataset: str, rows: Sequence[ImageRow]) -> None:
        self._project, self._dataset = project, dataset
        self._rows = tuple(rows)
        self._read: Callable[[str], bytes] | None = None

    def bytes_of(self, digest: str) -> bytes:
        """The bytes of an image that can be decoded.

        Raises:
            Unreadable: when it can no longer be read, with the reason.
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
        config = self._project.file.dataset(self._dataset)
        manifests = [Manifest(self._rows, ())]
        if latest := self._project.lake.versions.latest(self._dataset):
            manifests.append(self._project.lake.versions.manifest(latest))
        return reader(self._project, config, *manifests)


def read_all(reader: ImageReader, digests: Sequence[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The bytes of the images that can be read, and the problems of the others, by digest."""
    data, problems = {}, {}
    for digest in digests:
        try:
            data[digest] = reader.bytes_of(digest)
        except DnaError as error:
            problems[digest] = str(error)
    return data, problems


def reader(project: ProjectFolder, dataset: DatasetConfig, *manifests: Manifest) -> ReadImage:
    """A function that reads images by digest, and refuses other bytes; the paths of later manifests take precedence."""
    source = project.source(dataset)
    paths = {row.digest: row.path for manifest in manifests for row in manifest.readable}

    def read(digest: str) -> bytes:
        path = paths[digest]
        name = f"{dataset.name}: {path.decode('utf-8', 'backslashreplace')}"
        try:
            data = source.read(path)
        except FileNotFoundError as error:
            raise SourceChanged(
                f"{name} disappeared since the scan; run again", code="source.vanished", path=name
            ) from error
        except (OSError, Unreadable) as error:
            raise SourceError(
                f"{name} cannot be read: {error}; run again", code="source.image-unreadable", path=name
            ) from error
        if digest_of(data) != digest:
            raise SourceChanged(f"{name} changed since the scan; run again", code="source.changed", path=name)
        return data

    return read
