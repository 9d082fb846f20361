"""Reading images of a project again: images that can no longer be read are reported, and do not stop the work."""

from __future__ import annotations

from collections.abc import Sequence

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import DnaError, SourceChanged, SourceError, UnknownName, Unreadable
from dna_pipelines.imaging import Encoded, decode_known, encoded
from dna_pipelines.manifests import ImageRow, Manifest, ReadImage
from dna_pipelines.manifests.manifest import digest_of_image
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
        self._read: ReadImage | None = None

    def image(self, digest: str) -> Encoded:
        """An encoded image that can be decoded.

        Raises:
            Unreadable: when it can no longer be read, with the reason.
        """
        try:
            self._read = self._read or self._reader()
            image = self._read(digest)
        except UnknownName as error:
            raise Unreadable(
                CANNOT_BE_READ, f"{self._dataset} is no longer in the datasets file, which says how it is read"
            ) from error
        except (SourceChanged, SourceError) as error:
            raise Unreadable(CANNOT_BE_READ, str(error).removesuffix("; run again")) from error
        decode_known(image)
        return image

    def _reader(self) -> ReadImage:
        config = self._project.file.dataset(self._dataset)
        manifests = [Manifest(self._rows, ())]
        if latest := self._project.lake.versions.latest(self._dataset):
            manifests.append(self._project.lake.versions.manifest(latest))
        return reader(self._project, config, *manifests)


def read_all(reader: ImageReader, digests: Sequence[str]) -> tuple[dict[str, Encoded], dict[str, str]]:
    """The images that can be read, and the problems of the others, by digest."""
    images, problems = {}, {}
    for digest in digests:
        try:
            images[digest] = reader.image(digest)
        except DnaError as error:
            problems[digest] = str(error)
    return images, problems


def reader(project: ProjectFolder, dataset: DatasetConfig, *manifests: Manifest) -> ReadImage:
    """A function that reads images by digest, and refuses other bytes; the paths of later manifests take precedence."""
    source = project.source(dataset)
    images = {row.digest: (row.file, row.read_as) for manifest in manifests for row in manifest.readable}

    def read(digest: str) -> Encoded:
        path, reading = images[digest]
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
        image = encoded(data, reading)
        if digest_of_image(image) != digest:
            raise SourceChanged(f"{name} changed since the scan; run again", code="source.changed", path=name)
        return image

    return read
