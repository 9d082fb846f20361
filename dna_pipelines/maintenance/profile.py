"""The speed of extraction on this machine: each stage alone, all together, and which one limits. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from dna_pipelines.config import DatasetConfig, ExtractorConfig
from dna_pipelines.dna import ActivationRanges, Partial
from dna_pipelines.errors import NothingToCompare
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.devices.numerics import EXACT, reproducible
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.network_speed import network_alone
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.extraction.stream.stage_times import StageClock, StageTimes, n_cores
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.maintenance.stage_speeds import Sample, StageSpeed, evenly, take_sample, write_s
from dna_pipelines.manifests import ReadImage, Shard
from dna_pipelines.project.progress import Advance, Progress, Silent, counted
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.vdna import imported_ranges
from dna_pipelines.update.extractors import load_all

_CALIBRATION_IMAGES = 64


@dataclass(frozen=True)
class Profile:
    """The speeds that were measured.

    Attributes:
        alone: each stage alone, on one thread and the first device, in the order in which an image passes them.
        together: all stages as in a run, with the workers and devices of the datasets file.
        ideal_images_per_s: speed of the busiest resource (all cores, or the devices) without pauses.
        width_px, height_px: mean size of the images.
        n_unreadable: images that cannot be decoded, which were not measured.
    """

    extractor: str
    dataset: str
    device: str
    batch_size: int
    n_images: int
    n_unreadable: int
    width_px: float
    height_px: float
    alone: tuple[StageSpeed, ...]
    together: StageTimes
    ideal_images_per_s: float
    advice: tuple[str, ...]

    @property
    def efficiency(self) -> float:
        """The speed of all stages together, as a share of the ideal."""
        return self.together.images_per_s / self.ideal_images_per_s

    def to_json(self) -> dict[str, Any]:
        """The profile as a JSON value."""
        alone = [{**asdict(speed), "images_per_s": speed.images_per_s} for speed in self.alone]
        return {
            **asdict(self),
            "alone": alone,
            "together": self.together.to_json(),
            "efficiency": self.efficiency,
        }


def profile(
    project: ProjectFolder,
    dataset: DatasetConfig,
    config: ExtractorConfig,
    n_images: int = 256,
    progress: Progress | None = None,
) -> Profile:
    """Measure an extractor on images of a dataset.

    Raises:
        NothingToCompare: when the dataset has no readable image.
        SourceError: when its location cannot be reached.
        ExtractorError: when the network cannot be used, or its device has too little memory.
    """
    extractors = load_all(config)
    extractor, source = extractors[0], project.source(dataset)
    with (progress or Silent()).task(f"profiling {config.name}", 2 * n_images) as advance:
        with reproducible():
            sample = take_sample(source.read, evenly(source.list().entries, n_images), extractor, advance)
        if not sample.paths:
            raise NothingToCompare(
                f"{dataset.name} has no readable image to measure with; name another dataset",
                code="compare.no-image",
                dataset=dataset.name,
            )

        def read(digest: str) -> bytes:
            data = source.read(sample.paths[digest])
            digest_of(data)
            return data

        ranges = project.lake.fingerprints.ranges(config.name, extractor.fingerprint)
        if ranges is None and config.ranges:
            ranges = imported_ranges(project, config.ranges, config.name, extractor.layers)
        if ranges is None:
            digests = sorted(sample.paths)[:_CALIBRATION_IMAGES]
            workers, others = project.config().workers, extractors[1:]
            ranges = calibrate(extractor, digests, (dataset.name,), read, workers=workers, others=others)
        extractors = [loaded.bound(ranges) for loaded in extractors]
        extractor = extractors[0]
        with reproducible():
            network = network_alone(extractor, ranges, list(sample.paths), sample.rows)
        together, partial, shard = _together(project, extractors, ranges, sample, read, advance)
    n = len(sample.paths)
    per_batch = [
        StageSpeed(stage, 1000 * seconds / extractor.batch_size, f"batches of {extractor.batch_size}")
        for stage, seconds in network.items()
    ]
    alone = (
        StageSpeed("read", 1000 * sample.read_s / n, "including its digest"),
        StageSpeed("decode", 1000 * sample.decode_s / n),
        StageSpeed("preprocess", 1000 * sample.preprocess_s / n),
        StageSpeed("decode and preprocess", 1000 * (sample.decode_s + sample.preprocess_s) / n),
        *per_batch,
        StageSpeed(
            "write",
            1000 * write_s(shard, partial, extractor) / dataset.shard_size,
            f"one partial for {dataset.shard_size:,} images",
        ),
    )
    speeds = {speed.stage: speed for speed in alone}
    ideal = _ideal(speeds, together)
    facts = (config.name, dataset.name, config.device, extractor.batch_size, n, sample.n_unreadable)
    size = (sample.width_px, sample.height_px)
    advice = tuple(_advice(config, extractor, sample, together, ideal))
    return Profile(*facts, *size, alone, together, ideal, advice)


def _together(
    project: ProjectFolder,
    extractors: list[Extractor],
    ranges: ActivationRanges,
    sample: Sample,
    read: ReadImage,
    advance: Advance,
) -> tuple[StageTimes, Partial, Shard]:
    """The times of all stages as in a run, without writing; the partial; and its shard."""
    extractor, *others = extractors
    shard = Shard(tuple(Item(digest) for digest in sorted(sample.paths)))
    workers, clock = project.config().workers, StageClock()
    [(_, partial)] = extract_partials(
        extractor, ranges, [shard], read, workers=workers, on_images=advance, others=others, clock=clock
    )
    return clock.times(), partial, shard


def _ideal(speeds: dict[str, StageSpeed], together: StageTimes) -> float:
    """Images per second if the busiest resource never pauses."""
    on_cores = speeds["decode and preprocess"].ms_per_image
    on_network = speeds["forward"].ms_per_image + speeds["fold"].ms_per_image
    if not together.n_devices:
        # As many threads decode as others run the network.
        threads, cores = together.n_workers, min(2 * together.n_workers, n_cores())
        return 1000 * min(cores / (on_cores + on_network), threads / on_cores, threads / on_network)
    return min(1000 * together.n_workers / on_cores, 1000 * together.n_devices / on_network)


def _advice(
    config: ExtractorConfig, extractor: Extractor, sample: Sample, together: StageTimes, ideal: float
) -> Iterable[str]:
    """Which resource limits, and what to change."""
    if together.n_workers < n_cores():
        yield f"decoding uses {together.n_workers} of {n_cores()} cores: set `workers: 0` in the datasets file"
    if together.is_conclusive:
        yield _limit(config, extractor, sample, together)
    n_lanes = together.n_devices or together.n_workers
    n_batches = -(-len(sample.paths) // extractor.batch_size)
    if n_batches < 4 * n_lanes:
        few = f"{counted(n_batches, 'batch', 'batches')} for {counted(n_lanes, 'lane')}"
        yield f"{few}: too few, so the speed of all stages together comes out too low; raise --images"
    elif together.images_per_s < 0.8 * ideal:
        yield "together the stages are slower than the busiest one: other programs use this machine, or memory is slow"


def _limit(config: ExtractorConfig, extractor: Extractor, sample: Sample, together: StageTimes) -> str:
    size = extractor.network.preprocessing.size_px
    network = "the network limits: more cores, a GPU (`device: cuda`) or a smaller network make it faster"
    if together.n_devices:
        network = f"the network limits: try twice the batch_size, which is {extractor.batch_size}"
        if config.precision == EXACT:
            network += ", or `precision: fast` (bfloat16; comparable only with DNAs of its kind)"
    return {
        "read": f"reading limits: {together.n_readers} threads wait for it; copy the images to a faster disk, "
        "or store many in one archive",
        "decode": f"decoding limits: images have {sample.width_px:,.0f} x {sample.height_px:,.0f} px on average and "
        f"the network sees {size} x {size}; smaller copies of them, or more cores, make it faster",
        "forward": network,
        "fold": "folding limits: tap fewer layers, or layers with fewer positions",
        "write": "writing limits: a larger shard_size writes fewer files, a faster disk writes them sooner",
    }[together.bound_by]
