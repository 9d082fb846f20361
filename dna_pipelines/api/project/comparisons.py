"""The methods of a project that compare: pairs, all datasets, and the images behind a difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dna_pipelines.api.arguments import places, real, texts
from dna_pipelines.api.door import checked
from dna_pipelines.api.progress import Shown, watched
from dna_pipelines.errors import NothingToCompare, UserError
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder

if TYPE_CHECKING:  # each method imports what it returns, because opening a project computes nothing
    from dna_pipelines.api.results.comparison import Comparison
    from dna_pipelines.api.results.images import DuplicatesResult, FitsResult, GroupsResult, ImagesResult
    from dna_pipelines.api.results.overview import MapResult, MatrixResult


class ComparisonMethods:
    """See `Project`."""

    folder: ProjectFolder

    @checked
    def compare(
        self,
        a: str,
        b: str,
        *,
        extractor: str | None = None,
        layers: str | Sequence[str] = (),
        neurons: str | Sequence[str] = (),
        selection: str | None = None,
        metric: str | None = None,
        ranges: str | Path | None = None,
        progress: Shown = False,
    ) -> Comparison:
        """Compare two datasets, versions or slices neuron by neuron. A lake that is writable keeps their distances.

        Args:
            a, b: names; a slice that has no fingerprint yet is extracted first. Or VDNA files (.json).
            extractor: one of the datasets file; its first by default.
            layers: only these.
            neurons: only these, as `"layer:3,17"` or `"layer:0-9"`.
            selection: instead, the name of a stored selection.
            metric: another distance as well, in `facts["metric"]`: ks, energy, js, hellinger or psi.
            ranges: the file of activation ranges that a VDNA file was binned with, where it does not say.
            progress: True shows the images being extracted; see `Project`.

        Raises:
            UnknownName: when there is no such dataset, version, layer or selection.
            NothingToCompare: when a side has no fingerprint yet.
            Incomparable: when the two were not measured in the same way.
        """
        from dna_pipelines.analysis.compare import compare_pair
        from dna_pipelines.api.results.comparison import Comparison
        from dna_pipelines.comparison import summary_in

        chosen: dict[str, Any] = {
            "layers": texts("layers", layers),
            "neurons": texts("neurons", neurons),
            "selection": selection,
        }
        file = None if ranges is None else Path(ranges)

        def work(steps: Progress) -> Comparison:
            pair = compare_pair(self.folder, a, b, extractor=extractor, **chosen, ranges=file, progress=steps)
            compared, facts = pair.comparison, pair.to_json()
            if metric:
                facts["metric"] = summary_in(compared.a, compared.b, metric, pair.selection)
            return Comparison(compared, pair.selection, facts, self.folder, pair)

        return watched(work, progress)

    @checked
    def matrix(
        self,
        *,
        extractor: str | None = None,
        metric: str = "emd_bins",
        selection: str | None = None,
        test: bool = False,
        n_permutations: int | None = None,
        progress: Shown = False,
    ) -> MatrixResult:
        """The distances between all datasets, as of the last update.

        Args:
            extractor: one of the datasets file; its first by default.
            metric: emd_bins, emd_range, nfd, fd, ks, energy, js, hellinger or psi.
            selection: over the neurons of a stored selection.
            test: also test every pair, with p-values corrected for all of them.
            n_permutations: for each pair, at least 99; by default 1,000.
            progress: True shows it; see `Project`.

        Raises:
            NothingToCompare: when no dataset has a fingerprint yet (`api.no-fingerprint`).
            UserError: for fewer permutations (`api.permutations`).
        """
        from dna_pipelines.analysis.significance.all_pairs import matrix_significance
        from dna_pipelines.analysis.significance.pair import N_PERMUTATIONS
        from dna_pipelines.api.results.comparison import require_permutations
        from dna_pipelines.api.results.overview import MatrixResult

        if n_permutations is not None:
            n_permutations = require_permutations(n_permutations)
        name = self.folder.extractor_name(extractor)

        def work(steps: Progress) -> MatrixResult:
            matrix, pairs = self._matrix(name, metric, selection, steps), None
            if not matrix.names:
                raise _no_fingerprint(name)
            if test:
                settings: dict[str, Any] = {"selection": selection, "n_permutations": n_permutations or N_PERMUTATIONS}
                pairs = tuple(matrix_significance(self.folder, name, **settings, progress=steps))
            missing = tuple(each.name for each in self.folder.config().datasets if each.name not in matrix.names)
            return MatrixResult(matrix, pairs, missing)

        return watched(work, progress)

    @checked
    def map(
        self,
        *,
        extractor: str | None = None,
        metric: str = "emd_bins",
        selection: str | None = None,
        n_clusters: int | None = None,
        from_mean: bool = False,
        progress: Shown = False,
    ) -> MapResult:
        """All datasets in a plane that preserves their distances as well as it can, and which lie together.

        Args:
            extractor, metric, selection: as for `matrix`.
            n_clusters: how many; by default what separates best.
            from_mean: also how far each is from the mean of all, in bins.
            progress: True shows it; see `Project`.

        Raises:
            NothingToCompare: with fewer than three datasets.
        """
        from dna_pipelines.analysis.map import make_map
        from dna_pipelines.analysis.selections.stored import extractor_selection
        from dna_pipelines.api.results.overview import MapResult

        name = self.folder.extractor_name(extractor)

        def work(steps: Progress) -> MapResult:
            chosen = extractor_selection(self.folder, selection, name) if selection else None
            matrix = self._matrix(name, metric, selection, steps)
            settings: dict[str, Any] = {"n_clusters": n_clusters, "from_mean": from_mean, "selection": chosen}
            return MapResult(make_map(self.folder, matrix, **settings, progress=steps))

        return watched(work, progress)

    @checked
    def images(
        self,
        a: str,
        b: str,
        *,
        n: int = 20,
        in_detail: int | None = None,
        extractor: str | None = None,
        progress: Shown = False,
    ) -> ImagesResult:
        """The images of A that contribute most to its distance from B; see `Comparison.top_images`."""
        from dna_pipelines.api.results.images import top_images

        return top_images(self.folder, a, b, extractor, n, in_detail, progress)

    @checked
    def image_groups(
        self, a: str, b: str, by: str, *, extractor: str | None = None, progress: Shown = False
    ) -> GroupsResult:
        """What groups of images of A contribute to its distance from B.

        Args:
            a, b: as for `compare`.
            by: `group`, `shard` or a column of the metadata.
            extractor: one of the datasets file; its first by default.
            progress: True shows it; see `Project`.

        Raises:
            UnknownName: when there is no such column.
        """
        from dna_pipelines.analysis.images.attribution_by_group import attribute_by_group
        from dna_pipelines.api.results.images import GroupsResult

        def work(steps: Progress) -> GroupsResult:
            return GroupsResult(attribute_by_group(self.folder, a, b, by, extractor=extractor, progress=steps))

        return watched(work, progress)

    @checked
    def image_fits(
        self,
        images: str | Path | Sequence[str | Path],
        against: str | Sequence[str],
        *,
        extractor: str | None = None,
        progress: Shown = False,
    ) -> FitsResult:
        """How well images from anywhere fit one or several datasets; nothing is stored.

        Args:
            images: files, folders or other locations.
            against: datasets, versions or slices.
            extractor: one of the datasets file; its first by default.
            progress: True shows it; see `Project`.

        Raises:
            UserError: when images are no paths (`api.argument`), or one is none (`api.settings`).
            NothingToCompare: when nothing is given (`api.no-images-given`).
        """
        from dna_pipelines.analysis.images.scores import score_images
        from dna_pipelines.api.results.images import FitsResult
        from dna_pipelines.api.results.tables import Table

        locations, datasets = places("images", images), texts("against", against)
        if not locations or not datasets:
            what = "against" if locations else "images"
            raise NothingToCompare(f"{what} is empty; name at least one", code="api.no-images-given", argument=what)

        def work(steps: Progress) -> FitsResult:
            fits, problems = score_images(self.folder, locations, datasets, extractor=extractor, progress=steps)
            return FitsResult(tuple(fits), Table(("path", "problem"), tuple(problems.items())))

        return watched(work, progress)

    @checked
    def duplicates(
        self,
        *names: str,
        most_bits: float | None = None,
        most_distance: float | None = None,
        extractor: str | None = None,
        progress: Shown = False,
    ) -> DuplicatesResult:
        """Images that occur twice: the same bytes, or nearly the same to the network.

        Args:
            names: one dataset: within it. Two: what they share. More, or none (all): what each shares with each.
            most_bits: the largest share of sign bits that may differ, 0 to 0.5.
            most_distance: the largest root mean square difference of features, in spreads; 0 for exact copies alone.
            extractor: one of the datasets file; its first by default.
            progress: True shows it; see `Project`.

        Raises:
            NothingToCompare: when no dataset has a fingerprint yet (`api.no-fingerprint`).
            UserError: when one is named twice (`api.named-twice`).
        """
        from dna_pipelines.analysis.images.duplicates import MOST_BITS, MOST_DISTANCE, find_duplicates, leakage
        from dna_pipelines.api.results.images import DuplicatesResult

        extractor = self.folder.extractor_name(extractor)
        chosen = names or tuple(current_dnas(self.folder, extractor))
        if not chosen:
            raise _no_fingerprint(extractor)
        limits: dict[str, Any] = {
            "extractor": extractor,
            "most_bits": MOST_BITS if most_bits is None else real("most_bits", most_bits, low=0, high=0.5),
            "most_distance": MOST_DISTANCE if most_distance is None else real("most_distance", most_distance, low=0),
        }
        if len(set(chosen)) < len(chosen):
            raise UserError(
                "a dataset is named twice; name it once to find duplicates within it",
                code="api.named-twice",
                names=list(chosen),
            )
        each = len(chosen) > 2 or not names

        def work(steps: Progress) -> DuplicatesResult:
            if each:
                results = leakage(self.folder, chosen, **limits, progress=steps)
            else:
                results = [find_duplicates(self.folder, *chosen, **limits, progress=steps)]
            return DuplicatesResult(self.folder, tuple(results), each)

        return watched(work, progress)

    def _matrix(self, extractor: str, metric: str, selection: str | None, progress: Progress) -> Any:
        from dna_pipelines.analysis.matrix import find_matrix

        return find_matrix(self.folder, extractor, metric, selection=selection, progress=progress)


def _no_fingerprint(extractor: str) -> NothingToCompare:
    return NothingToCompare(
        f"no dataset has a fingerprint of {extractor} yet; call update() or run `dna run`",
        code="api.no-fingerprint",
        extractor=extractor,
    )
