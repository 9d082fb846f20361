"""P8, one image at a time: how well scores tell images of a family from others."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.measure import machine
from benchmarks.pictures import CORRUPTIONS, Measured, blobs, corrupted, crops, digits, measure, png, ranges_of
from benchmarks.protocols.agreement import auroc
from dna_pipelines.comparison import emd_bins
from dna_pipelines.comparison.scores import Bins, mahalanobis, nearest, rarity
from dna_pipelines.extraction.loading.registry import load_extractor

N_REFERENCE, N_TEST, N_RESAMPLED = 300, 60, 1000
FAMILIES = ("coffee", "blobs")
FOREIGN = ("chelsea", "flower", "gravel", "digits", "blobs")
KINDS = (*CORRUPTIONS, *FOREIGN)
HERE = Path(__file__).parent


def run(options: list[str]) -> None:
    """AUROC and the false positives at 95 % true positives; intervals of 95 % from resampled test images."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols outliers", description=__doc__)
    parser.add_argument("--extractor", default="builtin", help="a network by name")
    parser.add_argument("--into", type=Path, help="the table; by default beside this module")
    chosen = parser.parse_args(options)
    table = _markdown(chosen.extractor, {family: _rows(chosen.extractor, family) for family in FAMILIES})
    print(table)
    (chosen.into or HERE / f"RESULTS-outliers-{chosen.extractor}.md").write_text(table, encoding="utf-8")


def _rows(extractor: str, family: str) -> list[list[str]]:
    """Of each score: its name, both figures, and the AUROC of each kind."""
    reference, usual, others = _measured(extractor, family)
    inside = _scores(usual, reference)
    outside = {kind: _scores(images, reference) for kind, images in others.items()}
    rows = []
    for score, normal in inside.items():
        aurocs, rates = _resampled(normal, [scores[score] for scores in outside.values()])
        by_kind = {kind: f"{auroc(normal, scores[score]):.2f}" for kind, scores in outside.items()}
        rows.append([score, _interval(aurocs), _interval(rates), *(by_kind.get(kind, "–") for kind in KINDS)])
    return rows


def _markdown(extractor: str, rows: dict[str, list[list[str]]]) -> str:
    lines = [
        f"# P8: single images that do not belong, {extractor}",
        "",
        f"Written by `python -m benchmarks.protocols outliers --extractor {extractor}`: {N_REFERENCE} images of a",
        f"family are the reference, {N_TEST} new ones are to be separated from",
        f"{N_TEST} of each other kind. Means over the",
        "kinds, with 95 % intervals from resampled test images; then the AUROC of each kind.",
        "",
    ]
    for family, table in rows.items():
        lines += [
            f"## {family}",
            "",
            f"| score | AUROC | FPR95 | {' | '.join(KINDS)} |",
            "|---" * (3 + len(KINDS)) + "|",
        ]
        lines += ["| " + " | ".join(row) + " |" for row in table]
        lines.append("")
    return "\n".join([*lines, *(f"- {fact}" for fact in machine()), ""])


def _measured(name: str, family: str) -> tuple[Measured, Measured, dict[str, Measured]]:
    rng = np.random.default_rng(8)

    def make(what: str, n_images: int) -> list[np.ndarray]:
        if what == "digits":
            return digits(n_images)
        return blobs(n_images, rng) if what == "blobs" else crops(what, n_images, rng)

    extractor = load_extractor(name)
    reference = [png(image) for image in make(family, N_REFERENCE)]
    ranges = ranges_of(extractor, reference[:200])
    sources = make(family, N_TEST)
    outside = {kind: [corrupted(one, kind, rng) for one in sources] for kind in CORRUPTIONS}
    outside |= {kind: make(kind, N_TEST) for kind in FOREIGN if kind != family}
    usual = [png(image) for image in make(family, N_TEST)]
    return (
        measure(extractor, ranges, reference),
        measure(extractor, ranges, usual),
        {kind: measure(extractor, ranges, [png(image) for image in images]) for kind, images in outside.items()},
    )


def _scores(images: Measured, reference: Measured) -> dict[str, np.ndarray]:
    mean, covariance = reference.pooled.mean(axis=0, dtype=np.float64), np.cov(reference.pooled.T)
    whole = reference.counts.sum(axis=0, dtype=np.uint64)
    likely = -np.log((whole + 0.5) / (whole + 0.5).sum(axis=1, keepdims=True))
    each = images.counts.astype(np.float64)
    each /= each.sum(axis=2, keepdims=True)
    return {
        "5th nearest (kNN)": nearest(images.pooled, reference.pooled),
        "rarity (NAC)": rarity(images.pooled, reference.pooled),
        "Mahalanobis": mahalanobis(images.pooled, mean, covariance, len(reference.pooled)),
        "surprise of averages": _surprise(images.pooled, reference.pooled),
        "surprise of positions": np.einsum("ndb,db->nd", each, likely).mean(axis=1),
        "EMD of positions": np.array([emd_bins(one.astype(np.uint64), whole).mean() for one in images.counts]),
    }


def _surprise(rows: np.ndarray, reference: np.ndarray, n_bins: int = 20) -> np.ndarray:
    """-ln p of each image under a reference, a mean over neurons: bins of equal width, with one image more in each."""
    counts = Bins.equal_width(reference, n_bins).counts_at(rows, own=False)
    return np.nanmean(-np.log((counts + 1) / (len(reference) + n_bins + 2)), axis=1)


def _fpr95(inside: np.ndarray, outside: np.ndarray) -> float:
    """The share of images inside that score as high as the threshold that 95 % of those outside reach."""
    return float((inside >= np.quantile(outside, 0.05)).mean())


def _resampled(inside: np.ndarray, outside: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Means over kinds of AUROC and FPR95: of the images as they are first, then of resampled ones."""
    rng, aurocs, rates = np.random.default_rng(0), [], []
    for turn in range(N_RESAMPLED + 1):
        drawn = [one if turn == 0 else rng.choice(one, len(one)) for one in (inside, *outside)]
        aurocs.append(np.mean([auroc(drawn[0], scores) for scores in drawn[1:]]))
        rates.append(np.mean([_fpr95(drawn[0], scores) for scores in drawn[1:]]))
    return np.array(aurocs), np.array(rates)


def _interval(values: np.ndarray) -> str:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:.3f} ({low:.3f} to {high:.3f})"
