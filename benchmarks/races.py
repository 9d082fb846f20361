"""Races of changes against runs, with our condition and with Dagster's own `eager()`."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import dagster as dg

from benchmarks.measure import Row
from dna_pipelines_tests.orchestration.races import Race

N_RACES = 10


def run(_world) -> list[Row]:
    """The same random races for both."""
    logging.disable(logging.CRITICAL)
    counts = {}
    for name, condition in (("ours", None), ("eager()", dg.AutomationCondition.eager())):
        lost = idle = changes = 0
        for seed in range(N_RACES):
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome = Race(Path(folder), seed, condition).run()
            lost += len(outcome.lost)
            idle += outcome.n_idle
            changes += outcome.n_changes
        counts[name] = (lost, idle, changes)
    logging.disable(logging.NOTSET)
    (lost, idle, changes), (their_lost, their_idle, _) = counts["ours"], counts["eager()"]
    return [
        Row(
            f"{N_RACES} races, {changes} changes of 2 datasets: datasets that miss their last change",
            str(lost),
            f"{their_lost} (`AutomationCondition.eager()`)",
            "",
            target="0",
            met=lost == 0,
        ),
        Row("the same: runs with nothing to do", str(idle), f"{their_idle} (`eager()`)", ""),
    ]
