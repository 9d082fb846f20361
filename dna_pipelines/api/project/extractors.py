"""The methods of a project about its networks: which there are, and their activation ranges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dna_pipelines.api.arguments import new_file, texts
from dna_pipelines.api.door import checked
from dna_pipelines.api.progress import Shown, watched
from dna_pipelines.errors import ConfigError
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_ranges

if TYPE_CHECKING:  # each method imports what it returns, because opening a project computes nothing
    from dna_pipelines.api.results.extractors import ExtractorResult, ExtractorsResult, RangesResult


class ExtractorMethods:
    """See `Project`."""

    folder: ProjectFolder

    def extractors(self) -> ExtractorsResult:
        """The networks that can fingerprint images: those of the datasets file, then all others with a name."""
        from dna_pipelines.api.results.extractors import ExtractorsResult
        from dna_pipelines.update.networks import list_networks

        return ExtractorsResult(tuple(list_networks(self.folder)))

    @checked
    def extractor(self, name: str) -> ExtractorResult:
        """One network in detail: it is loaded and probed on the CPU.

        Args:
            name: of the datasets file, or any network, as in `fingerprint(network=…)`.

        Raises:
            UnknownName: when there is no such extractor or network.
            ExtractorError: when it cannot serve.
        """
        from dna_pipelines.api.results.extractors import ExtractorResult
        from dna_pipelines.update.networks import describe_network

        return ExtractorResult(describe_network(self.folder, name))

    @checked
    def calibrate(self, extractor: str, *, on: str | Sequence[str] = (), progress: Shown = False) -> RangesResult:
        """Measure the activation ranges of an extractor again. The next `update` computes all its DNAs again.

        Args:
            extractor: one of the datasets file.
            on: names of datasets to measure on; by default what its entry says.
            progress: True shows the images being measured; see `Project`.

        Raises:
            UnknownName: when there is no such extractor or dataset.
            ConfigError: when the datasets file takes the ranges from a file (`cli.ranges-from-file`).
        """
        from dna_pipelines.api.results.extractors import RangesResult

        names = texts("on", on)
        require_calibratable(self.folder, extractor, names)

        def work(steps: Progress) -> RangesResult:
            from dna_pipelines.orchestration.headless import replace_ranges

            replace_ranges(self.folder, extractor, steps, on=names)
            return RangesResult.of(extractor, used_ranges(self.folder, extractor), replaces=True)

        return watched(work, progress)

    @checked
    def import_ranges(
        self, extractor: str, path: str | Path, *, dry_run: bool = False, progress: Shown = False
    ) -> RangesResult:
        """Take the activation ranges of an extractor from a file. Where they differ, `update` computes its DNAs again.

        Args:
            extractor: one of the datasets file.
            path: a file such as the reference's `activation_ranges.json`.
            dry_run: only read the file; `RangesResult.replaces` says whether DNAs would have to be computed again.
            progress: True shows it; see `Project`.

        Raises:
            UnknownName: when there is no such extractor.
            InterchangeError: when the file is missing or damaged.
            Incomparable: when it is of other layers.
        """
        from dna_pipelines.api.results.extractors import RangesResult
        from dna_pipelines.interchange import read_ranges

        self.folder.extractor_config(extractor)
        file = Path(path)
        given, known = read_ranges(file), self.folder.lake.fingerprints.extractor(extractor)
        same = known is not None and given.own is not None and given.own.id == known.ranges_id
        n_constant = int((given.minimum == given.maximum).sum()) if given.own is None else 0
        replaces = known is not None and not same
        result = RangesResult(
            extractor, given.name, given.layers, given.minimum, given.maximum, not same, replaces, n_constant
        )

        def work(steps: Progress) -> RangesResult:
            from dna_pipelines.orchestration.headless import replace_ranges

            replace_ranges(self.folder, extractor, steps, file=str(file.absolute()))
            return result

        return result if same or dry_run else watched(work, progress)

    @checked
    def export_ranges(self, extractor: str, path: str | Path, *, force: bool = False) -> RangesResult:
        """Write the activation ranges of an extractor as the reference implementation reads them.

        Args:
            extractor: one of the datasets file.
            path: the file, in a folder that exists.
            force: write over a file that is there.

        Raises:
            NothingToCompare: when the extractor has no ranges yet.
            InterchangeError: when the file cannot be written.
            UserError: when the extractor is a view (`file.view-ranges`), or there is no such folder (`api.no-folder`).
        """
        from dna_pipelines.api.results.extractors import RangesResult
        from dna_pipelines.maintenance.export import export_ranges

        return RangesResult.of(extractor, export_ranges(self.folder, extractor, new_file(Path(path)), force=force))


def require_calibratable(folder: ProjectFolder, extractor: str, on: Sequence[str] = ()) -> None:
    """Refuse what `Project.calibrate` refuses before it measures anything."""
    config = folder.extractor_config(extractor)
    if config.ranges:
        raise ConfigError(
            f"{folder.file.path} takes the ranges of {extractor} from {config.ranges}; remove that to measure them",
            code="cli.ranges-from-file",
            extractor=extractor,
            file=config.ranges,
        )
    for name in on:
        folder.file.dataset(name)
