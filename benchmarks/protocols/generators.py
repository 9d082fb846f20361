"""P6: whether distances to held-out real images rank generators of known quality and see dropped modes and copies.

Ladders of generators (`ladders.py`) are trained on one half of scikit-learn's digits and of crops of photographs; the
other half is held out. Kendall's τ is between the known order of a ladder and the distances of its samples. A dropped
mode: samples of real images with and without one kind, and their distance. Copies: samples that are training
images (as they are, saved again, with a little noise) are as near to held-out images as new ones would be, so distances
cannot show it; digests and sign codes have to.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from benchmarks.measure import machine
from benchmarks.pictures import levels, png, saved
from benchmarks.protocols.agreement import T95, auroc, kendall, mean_interval
from benchmarks.protocols.bias_corrected import N_PERMUTATIONS, bias_corrected_emd, by_turns
from benchmarks.protocols.feature_distances import bell, kid, prdc
from benchmarks.protocols.ladders import SOURCES, Real, gaussian, halves, ladders, pixels
from benchmarks.protocols.seen import Seen, Sight
from benchmarks.protocols.textures import wilson
from benchmarks.protocols.two_samples import squares
from benchmarks.protocols.viewed import PROJECTED, WHITENED
from dna_pipelines.analysis.images.duplicates import MOST_BITS, MOST_DISTANCE, duplicates_of
from dna_pipelines.analysis.images.featureless import single_colour_images
from dna_pipelines.comparison import emd_bins, fd
from dna_pipelines.identity import digest_of
from dna_pipelines.imaging import decode

HERE = Path(__file__).parent
VIEWS = (PROJECTED, WHITENED)
N_FAKE, N_HELD_OUT, N_REPEATS = 64, 256, 5
N_WHOLE, N_DROPPED, N_COPIED = 100, 25, 100
CORRECTED = "EMD, bias-corrected"
OURS = ("EMD", CORRECTED, "EMD, projected", "EMD, whitened", "EMD, features", "NFD", "NFD, features")
PEERS = ("FD", "KID", "precision", "recall", "density", "coverage")
METHODS = (*OURS, *PEERS)


def distances(sight: Sight, real: Seen, fakes: list[Seen]) -> dict[str, list[float]]:
    """Of every sample from the held-out images. What is better when it is larger gets a minus."""
    whole, features = real.whole(), real.pooled[:, sight.features]
    mean, spread = real.pooled.mean(axis=0, dtype=float), real.pooled.std(axis=0, ddof=1, dtype=float)
    by_method: dict[str, list[float]] = {method: [] for method in METHODS}
    known, rng = bell(features), np.random.default_rng(10)
    blocks = real.in_blocks(by_turns(len(features)))
    for fake in fakes:
        emd = emd_bins(fake.whole(), whole)
        own = fake.pooled[:, sight.features]
        nfd = (fake.pooled.mean(axis=0, dtype=float) - mean) ** 2 + (fake.pooled.std(axis=0, ddof=1) - spread) ** 2
        values = {
            "EMD": emd.mean(),
            CORRECTED: bias_corrected_emd(blocks, fake.in_blocks(by_turns(len(fake.pooled))), rng),
            **{f"EMD, {view}": emd_bins(fake.whole(view), real.whole(view)).mean() for view in VIEWS},
            "EMD, features": emd[sight.features].mean(),
            "NFD": nfd.mean(),
            "NFD, features": nfd[sight.features].mean(),
            "FD": fd(known, bell(own)),
            "KID": kid(features, own),
            **{name: -value for name, value in prdc(features, own).items()},
        }
        for method, value in values.items():
            by_method[method].append(float(value))
    return by_method


def run(options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols generators", description=__doc__)
    parser.add_argument("--extractor", default="builtin", help="a network by name")
    parser.add_argument("--repeats", type=int, default=N_REPEATS, choices=T95, help="with generators trained again")
    parser.add_argument("--quick", action="store_true", help="one small repeat; prints only")
    parser.add_argument("--copies", action="store_true", help="the section on copies alone; prints only")
    chosen = parser.parse_args(options)
    n_repeats, n_fake = (1, 16) if chosen.quick else (chosen.repeats, N_FAKE)
    started, reals = time.monotonic(), {name: make() for name, make in SOURCES.items()}
    some = [
        image for real in reals.values() for image in pixels(halves(real, np.random.default_rng(3))[0].images[:128])
    ]
    sight = Sight(chosen.extractor, some, VIEWS)
    n_copied = 24 if chosen.quick else N_COPIED
    if chosen.copies:
        print("\n".join(_copied({name: _copies(sight, real, n_copied) for name, real in reals.items()})))
        return
    taus: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
    for seed in range(n_repeats):
        for method, values in _ranked(sight, reals, n_fake, seed).items():
            taus[method].append(values)
        print(f"repeat {seed + 1} of {n_repeats} after {time.monotonic() - started:.0f} s", flush=True)
    dropped = {name: _dropped(sight, real, quick=chosen.quick) for name, real in reals.items()}
    print(f"dropped modes after {time.monotonic() - started:.0f} s", flush=True)
    copies = {name: _copies(sight, real, n_copied) for name, real in reals.items()}
    minutes = (time.monotonic() - started) / 60
    table = "\n".join([*_head(chosen.extractor, n_repeats, n_fake), *_order(taus), *_modes(dropped), *_copied(copies)])
    print(table)
    if not chosen.quick:
        results = HERE / f"RESULTS-generators-{chosen.extractor}.md"
        results.write_text("\n".join([table, *(f"- {fact}" for fact in machine()), f"- {minutes:.0f} minutes.", ""]))
        print(f"written to benchmarks/protocols/{results.name}")


def _ranked(sight: Sight, reals: dict[str, Real], n_fake: int, seed: int) -> dict[str, dict[str, float]]:
    """By method and ladder, τ; a new split, new generators and new samples."""
    rng, by_method = np.random.default_rng([6, seed]), {method: {} for method in METHODS}
    for source, real in reals.items():
        train, held_out = halves(real, rng)
        of_real = sight.see(pixels(held_out.images[rng.permutation(len(held_out.kinds))[: 4 * n_fake]]))
        for ladder, rungs in ladders(train, rng).items():
            fakes = [sight.see(pixels(rung(n_fake))) for rung in rungs]
            for method, values in distances(sight, of_real, fakes).items():
                by_method[method][f"{source}, {ladder}"] = kendall(np.array(values))
    return by_method


def _dropped(sight: Sight, real: Real, *, quick: bool) -> dict[str, list[float]]:
    """By method, for each kind: the AUROC of samples without it against samples of all kinds."""
    rng = np.random.default_rng(7)
    train, held_out = halves(real, rng)
    n_held_out, n_pool, n_whole, n_dropped = (64, 128, 8, 2) if quick else (N_HELD_OUT, 512, N_WHOLE, N_DROPPED)
    chosen_rows = rng.permutation(len(held_out.kinds))[:n_held_out], rng.permutation(len(train.kinds))[:n_pool]
    of_real = sight.see(pixels(held_out.images[chosen_rows[0]]))
    pool, kinds = sight.see(pixels(train.images[chosen_rows[1]])), train.kinds[chosen_rows[1]]

    def samples(of: np.ndarray, n: int) -> list[Seen]:
        return [pool[rng.choice(of, N_FAKE, replace=False)] for _ in range(n)]

    whole = distances(sight, of_real, samples(np.arange(len(kinds)), n_whole))
    by_method: dict[str, list[float]] = {method: [] for method in METHODS}
    for kind in np.unique(kinds):
        without = distances(sight, of_real, samples(np.flatnonzero(kinds != kind), n_dropped))
        for method in METHODS:
            by_method[method].append(auroc(np.array(whole[method]), np.array(without[method])))
    return by_method


def _copies(sight: Sight, real: Real, n: int) -> dict[str, object]:
    """Of generators that copy: how many of n samples are found, and how far they are; new images beside them."""
    rng = np.random.default_rng(8)
    train, held_out = halves(real, rng)
    originals = pixels(train.images[rng.permutation(len(train.kinds))[: 4 * n]])
    others = pixels(held_out.images[rng.permutation(len(held_out.kinds))])
    # A third set of real images is what distances are to.
    new, reference = others[:n], sight.see(others[n : n + 4 * n])
    taken = originals[rng.permutation(len(originals))[:n]]
    noisy = levels(taken + rng.normal(0, 4, taken.shape))
    samples = {
        "new real images": [png(image) for image in new],
        "training images": [png(image) for image in taken],
        "saved as JPEG, quality 90": [saved(image, "jpeg", quality=90) for image in taken],
        "saved as JPEG, quality 50": [saved(image, "jpeg", quality=50) for image in taken],
        "with noise of 4 levels": [png(image) for image in noisy],
        "PCA with 24 components": [png(image) for image in pixels(gaussian(train, 24, rng)(n))],
    }
    digests = [digest_of(png(image)) for image in originals]
    known = SimpleNamespace(features=sight.rows(digests, sight.see(originals)))
    colours = np.stack([np.asarray(decode(data)) for data in single_colour_images()])
    one_colour = sight.rows([digest_of(data) for data in single_colour_images()], sight.see(colours))
    flat = originals.reshape(len(originals), -1).astype(float)
    rows, limit = [], 0.0
    for what, files in samples.items():
        images = np.stack([np.asarray(decode(data)) for data in files])
        seen, own = sight.see(images), [digest_of(data) for data in files]
        report = duplicates_of(
            SimpleNamespace(features=sight.rows(own, seen)), known, MOST_BITS, MOST_DISTANCE, one_colour
        )
        nearest = squares(images.reshape(n, -1).astype(float), flat).min(axis=1)
        # The peer may be wrong of new images in one of a hundred.
        limit = limit or float(np.quantile(nearest, 0.01))
        away = distances(sight, reference, [seen])
        hits = report.exact_a, report.near_a, report.featureless_a, int((nearest < limit).sum())
        rows.append((what, *hits, away["EMD"][0], away["FD"][0]))
    return {"n": n, "n_originals": len(originals), "rows": rows}


def _head(extractor: str, n_repeats: int, n_fake: int) -> list[str]:
    intro = (
        f"Written by `python -m benchmarks.protocols generators --extractor {extractor} --repeats {n_repeats}`: "
        f"{n_fake} samples of each generator against {4 * n_fake} held-out images. EMD is on the 50 coarse bins; "
        "*features* are the layers that keep a covariance, whose means FD, KID and PRDC (k = 5) take. "
        f"The null mean is that of {N_PERMUTATIONS} permutations of 64 blocks, as in `dna compare`; "
        "*projected* and *whitened* "
        "are the views of all layers."
    )
    return [f"# P6: generators of known quality, {extractor}", "", intro, ""]


def _order(taus: dict[str, list[dict[str, float]]]) -> list[str]:
    names = list(taus["EMD"][0])
    intro = f"Means of {len(taus['EMD'])} repeats (new splits, generators and samples), ± half of the 95 % interval."
    lines = ["## Kendall's τ with the known order", "", intro, ""]
    lines += ["| method | " + " | ".join(names) + " | **mean** |", "|---" * (len(names) + 2) + "|"]
    means = {}
    for method, repeats in taus.items():
        values = np.array([[one[name] for name in names] for one in repeats])
        means[method] = values.mean()
        cells = [f"{value:.2f}" for value in values.mean(axis=0)]
        lines.append(f"| {method} | {' | '.join(cells)} | **{mean_interval(values.mean(axis=1))}** |")
    peer = max(means["FD"], means["KID"])
    met = {method: "met" if means[method] >= peer else "**missed**" for method in OURS}
    target = f"Target: EMD at least FD and KID: {means['EMD']:.3f} against {peer:.3f}: {met['EMD']}."
    others = "; ".join(f"{method} {means[method]:.3f}: {met[method]}" for method in OURS[1:])
    return [*lines, "", target, f"By others of ours it would be: {others}.", ""]


def _modes(dropped: dict[str, dict[str, list[float]]]) -> list[str]:
    rng, names = np.random.default_rng(9), list(dropped)
    lines = ["## A dropped mode: AUROC", ""]
    lines.append(
        f"{N_FAKE} real images without one of the kinds against as many of all kinds; mean over the kinds, with"
    )
    lines.append("the 95 % interval of a bootstrap over them, and the worst kind.")
    lines += ["", "| method | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for method in METHODS:
        cells = []
        for name in names:
            values = np.array(dropped[name][method])
            again = rng.choice(values, (2000, len(values))).mean(axis=1)
            low, high = np.quantile(again, [0.025, 0.975])
            cells.append(f"{values.mean():.3f} ({low:.3f} to {high:.3f}); worst {values.min():.2f}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _copied(copies: dict[str, dict[str, object]]) -> list[str]:
    lines = ["## Copies of training images", ""]
    lines.append(
        "Shares of the samples of a generator that are found among the training images, with 95 % intervals, by"
    )
    lines.append(
        "equal bytes or by codes as `dna duplicates` does, which compares *featureless* ones by bytes only. The peer is"
    )
    lines.append(
        "the nearest training image in pixels, with a limit that 1 % of new images are below. Distances of the sample"
    )
    lines.append("to other real images stand beside.")
    columns = (
        "samples | equal bytes | nearly the same, by codes | featureless | nearest in pixels | EMD (coarse bins) | FD"
    )
    for name, section in copies.items():
        n = section["n"]
        lines += ["", f"### {name}: {n} samples, {section['n_originals']} training images", ""]
        lines += [f"| {columns} |", "|---" * 7 + "|"]
        for what, exact, near, featureless, nearest, emd, frechet_distance in section["rows"]:
            shares = " | ".join(wilson(hits, n) for hits in (exact, near, featureless, nearest))
            lines.append(f"| {what} | {shares} | {emd:.3f} | {frechet_distance:.4g} |")
    return [*lines, ""]
