"""Updates: what adding and removing images costs, against the first full run."""

from __future__ import annotations

import random

from benchmarks.measure import Row, ms, timed
from benchmarks.world import N_FOLDERS, N_IMAGES, World
from dna_pipelines.update import fingerprint, ingest
from dna_pipelines.update.calibration import ensure_ranges

TARGET = 0.03
PERCENT = N_IMAGES // 100


def run(world: World) -> list[Row]:
    """The steps of `dna run` in process (`refresh`, `ensure_ranges`, `fit`), one change after the other.

    Counts are exact and are measured once; so are the seconds, because a change cannot be had twice.
    """
    _, first = world.fitted
    chosen = random.Random(0)
    rows = [
        Row(
            f"first full run of {N_IMAGES:,} images with builtin",
            f"{N_IMAGES:,} extracted, {ms(first['fit'])}",
            "",
            "100 %",
            note=f"besides: reading the files {ms(first['refresh'])}, activation ranges {ms(first['ranges'])}",
        )
    ]

    def add(count: int) -> None:
        for _ in range(count):
            world.add_image(chosen.randrange(N_FOLDERS))

    def remove(count: int) -> None:
        for path in chosen.sample(sorted(world.images.rglob("*.png")), count):
            path.unlink()

    add(1)
    rows.append(_step(world, "1 image more"))
    add(PERCENT)
    rows.append(_step(world, f"1 % more ({PERCENT} images)", at_most=TARGET))
    remove(1)
    rows.append(_step(world, "1 image less", one_shard=True))
    remove(PERCENT)
    note = "removals are spread over all shards, and a shard that lost an image is extracted again"
    rows.append(_step(world, f"1 % less ({PERCENT} images at random)", note=note))
    return rows


def _step(world: World, what: str, *, at_most: float | None = None, one_shard: bool = False, note: str = "") -> Row:
    project, first = world.fitted
    dataset, extractor = project.file.dataset("large"), project.config().extractors[0]
    scan_s, _ = timed(lambda: ingest.refresh(project, dataset))
    ensure_ranges(project, extractor)
    fit_s, fitted = timed(lambda: fingerprint.fit(project, dataset, extractor))
    work = fitted.work
    share = work.n_images_extracted / N_IMAGES
    target, met = "", None
    if at_most is not None:
        target, met = f"<= {at_most:.0%} of the images", share <= at_most
    if one_shard:
        target = "at most its own shard"
        met = work.n_computed <= 1 and work.n_images_extracted <= dataset.shard_size
    facts = f"partials: {work.n_computed} computed, {work.n_merged} merged, {work.n_reused} reused; scan {ms(scan_s)}"
    return Row(
        what,
        f"{work.n_images_extracted:,} extracted, {ms(fit_s)}",
        f"{N_IMAGES:,} extracted, {ms(first['fit'])} (first full run)",
        f"{share:.2%} of the images, {fit_s / first['fit']:.1%} of the time",
        target,
        met,
        f"{facts}; {note}" if note else facts,
    )
