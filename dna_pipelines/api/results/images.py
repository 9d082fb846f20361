"""Results about single images: those behind a difference, groups of them, and duplicates."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from PIL import Image

from dna_pipelines.analysis.images.attribution import IN_DETAIL, Attribution, attribute
from dna_pipelines.analysis.images.attribution_by_group import AttributionByGroup
from dna_pipelines.analysis.images.duplicates import Duplicates
from dna_pipelines.analysis.images.scores import Fit
from dna_pipelines.api.arguments import new_file, number
from dna_pipelines.api.door import checked
from dna_pipelines.api.progress import Shown, watched
from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.tables import Table
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import Progress, counted
from dna_pipelines.project.project import ProjectFolder

_TECHNICAL = ("digest", "digest_a", "digest_b", "shard", "shard_a", "shard_b")
"""Columns for programs, which tables have last."""


@dataclass(frozen=True, eq=False, repr=False)
class ImagesResult(Result):
    """The images of A that contribute most to its distance from B, the largest share first.

    Attributes:
        folder: the project's folder.
        attribution: the ranking, with the contrast that it is of.
    """

    folder: ProjectFolder
    attribution: Attribution

    @property
    def table(self) -> Table:
        """An image a row: `path`, `share` of the difference, `contribution_bins`, `conformal_p_in_b`."""
        return Table.of(self.attribution.rows()).with_last(*_TECHNICAL)

    @property
    def summary(self) -> str:
        """What was compared."""
        contrast = self.attribution.contrast
        return f"{contrast.description} against {contrast.b.label}: EMD {self.attribution.emd_bins:.4g} bins"

    def sheet(self) -> Image.Image:
        """A contact sheet as a PIL image (RGB): these images beside typical ones of B. The images are read again."""
        return _opened(self._png())

    @checked
    def save(self, path: str | Path) -> Path:
        """Write the contact sheet as a PNG file.

        Args:
            path: NAME.png, in a folder that exists.

        Raises:
            UserError: when it cannot be written (`api.file`, `api.no-folder`), or is no PNG (`api.picture-ending`).
        """
        return _saved(_png_file(Path(path)), self._png())

    def _png(self) -> bytes:
        from dna_pipelines.analysis.images.contact_sheets import attribution_sheet

        return attribution_sheet(self.folder, self.attribution)

    def _json(self) -> Any:
        return self.attribution.to_json()


@dataclass(frozen=True, eq=False, repr=False)
class GroupsResult(Result):
    """Groups of images of A (by group, shard or metadata value) and what each contributes to the distance from B.

    Attributes:
        attribution: the groups, the largest share first, with the contrast that they are of.
    """

    attribution: AttributionByGroup

    @property
    def table(self) -> Table:
        """A group a row: `value`, `n_images`, `share_of_images`, `share` of the difference, `contribution_bins`."""
        return Table.of(group.facts() for group in self.attribution.groups)

    @property
    def summary(self) -> str:
        """What was compared."""
        contrast, groups = self.attribution.contrast, self.attribution
        return f"{contrast.description} by {groups.by}: EMD {groups.emd_bins:.4g} bins from {contrast.b.label}"

    def _json(self) -> Any:
        return self.attribution.to_json()


@dataclass(frozen=True, eq=False, repr=False)
class FitsResult(Result):
    """How well images from anywhere fit datasets; larger scores fit worse.

    Attributes:
        fits: an image and dataset each.
        quarantined: images that cannot be read, and why.
    """

    fits: tuple[Fit, ...]
    quarantined: Table

    @property
    def table(self) -> Table:
        """An image and dataset a row; the columns are those of `analysis.images.scores.Fit`."""
        return Table.of((fit.facts() for fit in self.fits), tuple(field.name for field in fields(Fit))).with_last(
            *_TECHNICAL
        )

    @property
    def summary(self) -> str:
        """How many images."""
        unreadable = f"; {len(self.quarantined):,} cannot be read" if len(self.quarantined) else ""
        return f"{counted(len({fit.path for fit in self.fits}), 'image')}{unreadable}"

    def _json(self) -> Any:
        return {
            "images": [fit.to_json() for fit in self.fits],
            "unreadable": {row["path"]: row["problem"] for row in self.quarantined},
        }


@dataclass(frozen=True, eq=False, repr=False)
class DuplicatesResult(Result):
    """Images that occur twice: the same bytes, or nearly the same to the network.

    Attributes:
        folder: the project's folder.
        results: one entry for one or two datasets; for more, one for each pair of them.
        each: whether all pairs of more than two datasets were asked for.
    """

    folder: ProjectFolder
    results: tuple[Duplicates, ...]
    each: bool = False

    @property
    def n_pairs(self) -> int:
        """Pairs of duplicates, over all that was compared."""
        return sum(len(result.pairs) for result in self.results)

    @property
    def table(self) -> Table:
        """A pair of images a row: `path_a`, `path_b`, `exact`, `n_bits`, `distance`; of many datasets, two of these."""
        rows = (result.facts() for result in self.results) if self.each else self._json()["pairs"]
        return Table.of(rows).with_last(*_TECHNICAL)

    @property
    def summary(self) -> str:
        """How many there are."""
        return counted(self.n_pairs, "pair of duplicates", "pairs of duplicates")

    def sheet(self) -> Image.Image:
        """A contact sheet of the pairs of one or two datasets, as a PIL image (RGB).

        Raises:
            UserError: for more datasets (`api.too-many`).
        """
        return _opened(self._png())

    @checked
    def save(self, path: str | Path) -> Path:
        """Write the contact sheet as a PNG file.

        Args:
            path: NAME.png, in a folder that exists.

        Raises:
            UserError: for more than two datasets (`api.too-many`); when it cannot be written (`api.file`,
                `api.no-folder`), or is no PNG (`api.picture-ending`).
        """
        return _saved(_png_file(Path(path)), self._png())

    def _png(self) -> bytes:
        if self.each:
            raise UserError("a contact sheet shows the pairs of one or two datasets; name them", code="api.too-many")
        from dna_pipelines.analysis.images.contact_sheets import duplicates_sheet

        return duplicates_sheet(self.folder, self.results[0])

    def _json(self) -> Any:
        if not self.each:
            return self.results[0].to_json()
        return [{key: value for key, value in result.to_json().items() if key != "pairs"} for result in self.results]


def top_images(
    folder: ProjectFolder,
    a: str,
    b: str,
    extractor: str | None,
    n: int,
    in_detail: int | None,
    progress: Shown,
) -> ImagesResult:
    """See `Comparison.top_images` and `Project.images`."""
    n = number("n", n, at_least=1)
    detail = IN_DETAIL if in_detail is None else number("in_detail", in_detail, at_least=0)

    def work(steps: Progress) -> ImagesResult:
        ranking = attribute(folder, a, b, extractor=extractor, top=n, in_detail=detail, progress=steps)
        return ImagesResult(folder, ranking)

    return watched(work, progress)


def _opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def _png_file(path: Path) -> Path:
    """A file for a picture, checked before the picture is made."""
    if path.suffix.lower() != ".png" and not path.is_dir():
        raise UserError(
            f"{path} cannot be saved: contact sheets are written as PNG; name a file that ends in .png",
            code="api.picture-ending",
            path=str(path),
            ending=path.suffix,
            known=[".png"],
        )
    return new_file(path)


def _saved(path: Path, data: bytes) -> Path:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}", code="api.file", path=str(path), reason=str(error.strerror)
        ) from error
    return path
