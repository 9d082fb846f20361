"""What a view of a network costs beside the network itself: each is a forward pass of its own, and what it folds."""

from __future__ import annotations

import time

from benchmarks.measure import Rounds, Row, ms
from benchmarks.world import World
from dna_pipelines.config import View
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.extraction.views.view_extractor import view_of
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.manifests import Shard

N_IMAGES, N_ROUNDS = 256, 3
VIEWS = ("projected", "whitened", "spatial", "spatial4")


def run(world: World) -> list[Row]:
    files = sorted(world.tree("views", N_IMAGES, 1).rglob("*.png"))
    images = {digest_of(data): data for data in (path.read_bytes() for path in files)}
    shard, rows = Shard(tuple(map(Item, sorted(images)))), []
    for name in ("seeded_cnn", "seeded_vit"):
        base = load_extractor(name)
        every = {"base": base} | {text: view_of(base, View.parse(text)) for text in VIEWS}
        ready = {}
        for what, extractor in every.items():
            ranges = calibrate(extractor, sorted(images)[:32], ("views",), images.__getitem__)
            ready[what] = extractor.bound(ranges), ranges
        # Processor time of all threads: what other programs take does not show. A first round is not counted.
        seconds: dict[str, list[float]] = {what: [] for what in ready}
        for number in range(-1, N_ROUNDS):
            for what, (extractor, ranges) in ready.items():
                started = time.process_time()
                list(extract_partials(extractor, ranges, [shard], images.__getitem__))
                if number >= 0:
                    seconds[what].append(time.process_time() - started)
        rounds = Rounds(seconds)
        for what in VIEWS:
            n_neurons = ready[what][0].layers.n_neurons
            rows.append(
                Row(
                    f"{name}.{what}: {N_IMAGES} images to a partial ({n_neurons:,} virtual neurons)",
                    ms(rounds.median(what)),
                    f"{ms(rounds.median('base'))} ({base.layers.n_neurons} neurons of its own)",
                    f"{rounds.ratio(what, 'base'):.2f}",
                    note=rounds.spread(what, "base"),
                )
            )
    return rows
