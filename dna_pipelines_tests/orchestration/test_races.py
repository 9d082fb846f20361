"""Races of upstream changes against running children."""

import pytest

from dna_pipelines_tests.orchestration.races import NAMES, Race


def nothing_is_lost_and_little_runs_twice(root, seed):
    outcome = Race(root, seed).run()
    assert outcome.lost == []
    for name in NAMES:
        # One for each change, and at most one that follows up.
        assert outcome.n_runs.get(("manifest", name), 0) <= outcome.n_changes + 1
        assert outcome.n_runs.get(("dna", name), 0) <= outcome.n_changes + 1
    assert outcome.n_idle <= len(NAMES)


@pytest.mark.parametrize("seed", range(1))
def test_races(tmp_path, seed):
    nothing_is_lost_and_little_runs_twice(tmp_path, seed)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(1000, 1500))
def test_many_races(tmp_path, seed):
    nothing_is_lost_and_little_runs_twice(tmp_path, seed)
