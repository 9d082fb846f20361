"""Random races of changes against runs: what is lost, and what runs for nothing."""

import random
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

from dna_pipelines.identity import digest_of
from dna_pipelines.orchestration.assets import ingestion
from dna_pipelines.orchestration.headless import bring_up_to_date
from dna_pipelines.project.progress import Silent
from dna_pipelines.storage.versions import Versions
from dna_pipelines.update import fingerprint
from dna_pipelines.update.plan import make_plan, missing_dnas
from dna_pipelines.update.report import begin_report
from dna_pipelines_tests.orchestration.daemon import Daemon, open_instance
from dna_pipelines_tests.toy import toy_project, write_image

NAMES = ("one", "two")


@dataclass
class Outcome:
    """What came of a race."""

    lost: list = field(default_factory=list)
    """Datasets that were not brought up to date with their last change."""
    n_changes: int = 0
    n_runs: dict = field(default_factory=dict)
    """Runs of the manifest and of the DNA, by dataset."""
    n_idle: int = 0
    """Runs of these that found nothing to do."""


class Race:
    """A project whose datasets change before, between and inside of runs."""

    def __init__(self, root, seed, condition=None):
        self.rng, self.outcome, self._condition = random.Random(seed), Outcome(), condition
        self.project = toy_project(root, {name: {"0.png": 10 * n, "1.png": 10 * n + 1} for n, name in enumerate(NAMES)})
        self.n_images = 1000

    def run(self):
        plan = make_plan(self.project)
        bring_up_to_date(self.project, plan, begin_report(plan), Silent())
        with open_instance(self.project) as instance, self._counted(), self._changed_inside():
            self.daemon = Daemon(self.project, instance, self._condition)
            self.armed = False
            self.daemon.until_idle()
            self.outcome = Outcome()
            queue = []
            for _ in range(self.rng.randint(4, 8)):
                self.armed = self.rng.random() < 0.4
                step = self.rng.choice(("change", "tick", "tick", "run", "run"))
                if step == "change":
                    self._change(self.rng.choice(NAMES))
                elif step == "tick":
                    queue += [asked for asked in self.daemon.tick() if asked not in queue]
                elif queue:
                    self.daemon.run(*queue.pop(0))
            self.armed = False
            for asked in queue:
                self.daemon.run(*asked)
            # No more news: whatever was seen has to come through by itself.
            self.daemon.until_idle(most_ticks=20)
        self.outcome.lost = [name for name in NAMES if not self._is_current(name)]
        return self.outcome

    def _change(self, name):
        self.n_images += 1
        self.outcome.n_changes += 1
        write_image(self.project.root / "images" / name, f"{self.n_images}.png", self.n_images)
        self.daemon.scan_one(self.project.file.dataset(name))

    def _is_current(self, name):
        commit = self.project.lake.versions.latest(name)
        there = sorted(digest_of(file.read_bytes()) for file in (self.project.root / "images" / name).iterdir())
        known = sorted(row.digest for row in self.project.lake.versions.manifest(commit).readable)
        return there == known and not missing_dnas(self.project, name)

    def _changed_inside(self):
        """While a run works: after it looked and before it commits."""
        original = Versions.add

        def add(versions, name, *arguments, **named):
            if getattr(self, "armed", False):
                self.armed = False
                self._change(name)
            return original(versions, name, *arguments, **named)

        return mock.patch.object(Versions, "add", add)

    @contextmanager
    def _counted(self):
        def counted(function, kind):
            def call(project, dataset, *arguments):
                done = function(project, dataset, *arguments)
                key = (kind, dataset.name)
                self.outcome.n_runs[key] = self.outcome.n_runs.get(key, 0) + 1
                self.outcome.n_idle += done.was_current
                return done

            return call

        with (
            mock.patch.object(ingestion, "refresh", counted(ingestion.refresh, "manifest")),
            mock.patch.object(fingerprint, "fit", counted(fingerprint.fit, "dna")),
        ):
            yield
