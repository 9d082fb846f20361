"""P2, null part: how often each rule finds a difference between two samples of one population (nominal: 5 %)."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import machine
from benchmarks.protocols.detectors import blocks_as_they_are, evidently_mmd, ks_means, ks_tokens, ours, same_number
from benchmarks.protocols.populations import HEAVY, N_NEURONS, N_TOKENS, NORMAL, SELDOM, Population
from dna_pipelines.analysis.significance.subsample import share_of
from dna_pipelines.identity import N_BLOCKS

RESULTS = Path(__file__).with_name("RESULTS-null.md")
N_TRIALS, N_PEER_TRIALS, N_MMD_TRIALS = 4000, 1000, 100
HIGHEST = 0.065
INTRODUCTION = """Written by `python -m benchmarks.protocols null`. Both samples of a trial are drawn from one
population, so every alarm is false; the nominal rate is 5 %."""
REMARKS = """KS on tokens sees the 50 coarse bins, which makes it a little too mild. Evidently's rule is written after
its defaults: the statistic is above the 5th percentile of bootstrap samples of the reference. Of the larger side of
8,000 images and more, ours gets the sample that `dna compare` takes; the others get all of it."""
SETTINGS = [
    # images of one side and of the other, images in a group, effects
    (40, 40, 1, NORMAL),
    (160, 160, 1, NORMAL),
    (160, 40, 1, NORMAL),
    (640, 160, 1, NORMAL),
    (640, 40, 1, NORMAL),
    (2000, 40, 1, NORMAL),
    (2000, 160, 1, NORMAL),
    (2000, 2000, 1, NORMAL),
    (160, 160, 1, HEAVY),
    (640, 40, 1, HEAVY),
    (160, 160, 10, NORMAL),
    (640, 160, 10, NORMAL),
    (8000, 40, 1, NORMAL),
    (8000, 40, 10, NORMAL),
    (8000, 40, 1, HEAVY),
    (160, 160, 1, SELDOM),
    (640, 40, 1, SELDOM),
    (160, 160, 10, SELDOM),
    (640, 160, 10, SELDOM),
]
OURS = ("p", "mean", "any")
COLUMNS = (
    "images",
    "in groups of",
    "effects",
    "p of `dna compare`",
    "mean statistic",
    "any neuron (max statistic)",
    "KS + Bonferroni on tokens",
    "KS + Bonferroni on image means",
    "Evidently, MMD bootstrap",
    "",
)


def run(options):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols null", description=__doc__)
    parser.add_argument("--trials", type=int, default=N_TRIALS, help="of each setting")
    parser.add_argument("--seed", type=int, default=0, help="for other trials than those of the results")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--only", help="settings with these images, such as '8,000 and 40'")
    parser.add_argument("--rules", action="store_true", help="ours beside what it would be without one of its rules")
    chosen = parser.parse_args(options)
    started, rows = time.monotonic(), []
    for number, setting in enumerate(SETTINGS):
        if chosen.only not in (None, f"{setting[0]:,} and {setting[1]:,}"):
            continue
        if chosen.rules:
            print(_without_rules(setting, chosen.trials, chosen.seed + number), flush=True)
            continue
        row, _ = measured(setting, chosen.trials, chosen.seed + number, peers=not chosen.no_peers)
        rows.append(row)
        print(" | ".join(row), f"({(time.monotonic() - started) / 60:.1f} minutes)", flush=True)
    if chosen.rules:
        return
    if (chosen.trials, chosen.seed, chosen.no_peers, chosen.only) == (N_TRIALS, 0, False, None):
        RESULTS.write_text(_markdown(rows, N_TRIALS, (time.monotonic() - started) / 60), encoding="utf-8")
        print(f"written to benchmarks/protocols/{RESULTS.name}")
    else:
        print(f"{RESULTS.name} is not written, because it takes {N_TRIALS:,} trials of everything, with peers")


def measured(setting, n_trials, seed, *, peers=True):
    n_a, n_b, group_size, effects = setting
    rng = np.random.default_rng(seed)
    population = Population.made(rng, group_size=group_size, effects=effects)
    alarms = {name: [] for name in (*OURS, "tokens", "means", "mmd")}
    for trial in range(n_trials):
        a, b = population.sample(rng, _n_tested(rng, n_a, n_b, group_size)), population.sample(rng, n_b)
        decision = ours(a, b, rng)
        if decision is not None:
            for name, alarm in zip(OURS, decision, strict=True):
                alarms[name].append(alarm)
        if peers and trial < N_PEER_TRIALS and len(a[2]) < n_a:
            a = population.sample(rng, n_a)
        if peers and trial < N_PEER_TRIALS:
            alarms["tokens"].append(ks_tokens(a, b, rng))
            alarms["means"].append(ks_means(a, b, rng))
        if peers and trial < N_MMD_TRIALS and n_a <= 160:
            alarms["mmd"].append(evidently_mmd(a, b, rng))
    bounds = [interval(alarms[name]) for name in OURS]
    met = all(low <= 0.05 and high < HIGHEST for low, high in bounds)
    shown = [_share(alarms[name], own) for name, own in zip(OURS, bounds, strict=True)]
    shown += [_share(alarms[name]) for name in ("tokens", "means", "mmd")]
    n_not_tested = n_trials - len(alarms["p"])
    note = ("met" if met else "**missed**") + (f"; {n_not_tested:,} not tested" if n_not_tested else "")
    return [f"{n_a:,} and {n_b:,}", str(group_size) if group_size > 1 else "–", effects, *shown, note], met


def _n_tested(rng, n_a, n_b, group_size):
    """The number of images of the larger side that are permuted: all, or those of a sample of a far larger side."""
    if n_b >= n_a / N_BLOCKS:
        return n_a
    return rng.binomial(n_a // group_size, share_of(n_a, n_b)) * group_size


def _without_rules(setting, n_trials, seed):
    n_a, n_b, group_size, effects = setting
    rng = np.random.default_rng(seed)
    population = Population.made(rng, group_size=group_size, effects=effects)
    rules = {"as it is": ours, "blocks not merged": blocks_as_they_are, "same number of blocks": same_number}
    alarms = {name: [] for name in rules}
    for _ in range(n_trials):
        a, b = population.sample(rng, _n_tested(rng, n_a, n_b, group_size)), population.sample(rng, n_b)
        for name, rule in rules.items():
            if (decision := rule(a, b, rng)) is not None:
                alarms[name].append(decision)
    lines = []
    for name, decisions in alarms.items():
        shares = [_share(own, interval(own)) for own in zip(*decisions, strict=True)]
        lines.append(f"{name}: " + ", ".join(f"{of} {share}" for of, share in zip(OURS, shares, strict=True)))
    groups = f" in groups of {group_size}" if group_size > 1 else ""
    return f"{n_a:,} and {n_b:,}{groups}, {effects}: " + "; ".join(lines)


def interval(alarms):
    """The 99 % interval of Wilson for the share of alarms."""
    n, z = max(len(alarms), 1), 2.5758
    share = sum(alarms) / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    return centre - half, centre + half


def _share(alarms, bounds=None):
    if not alarms:
        return "–"
    share = f"{100 * sum(alarms) / len(alarms):.1f} %"
    return share if bounds is None else f"{share} ({100 * bounds[0]:.1f}–{100 * bounds[1]:.1f})"


def _markdown(rows, n_trials, minutes):
    lines = [
        "# False alarms where nothing differs",
        "",
        INTRODUCTION,
        "",
        f"- {n_trials:,} independent trials of each setting (peers: {N_PEER_TRIALS:,}, MMD: {N_MMD_TRIALS:,}),",
        f"  {N_NEURONS} neurons, {N_TOKENS} tokens an image; 199 permutations. In brackets: 99 % interval (Wilson).",
        "- The p of `dna compare` combines the mean and the strongest neuron.",
        "- Target: the intervals of all three contain 5 % or lie below it, and end below 6.5 %.",
    ]
    lines += [f"- {fact}" for fact in machine()]
    lines += [f"- {minutes:.0f} minutes.", "", "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", REMARKS, ""])
