"""The law the project stands on: whatever happened to a dataset, its DNA is that of a full rebuild."""

import tempfile
from collections import Counter
from math import inf
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.identity import digest_of
from dna_pipelines.manifests import Shard
from dna_pipelines.project.image_bytes import reader
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.extractors import load
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests.laws.merging import counts_equal, moments_equal
from dna_pipelines_tests.toy import image_bytes, toy_project, write_image

NUMBERS = st.integers(100, 140)
SHARD_SIZE = 5


class Watched(RuleBasedStateMachine):
    """A dataset that people add to, delete from, change, rename and copy in, and that is brought up to date."""

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        base = {f"{number}.png": number for number in range(12)}
        self.project = toy_project(
            Path(self.folder.name),
            {"base": base, "watched": {}},
            f"shard_size: {SHARD_SIZE}\nchecks: {{max_unreadable: 1}}",
            "calibrate_on: [base]",
        )
        self.extractor = self.project.config().extractors[0]
        self.dataset = self.project.file.dataset("watched")
        self.place = Path(self.folder.name) / "images" / "watched"
        refresh(self.project, self.project.file.dataset("base"))
        self.ranges, _ = ensure_ranges(self.project, self.extractor)
        self.files: dict[str, int] = {}
        self.n_named = 0
        self.before = Counter()
        self.owed = 0

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=8))
    def add(self, numbers):
        for number in numbers:
            self._put(self._new_name(), number)

    @rule(data=st.data())
    def remove(self, data):
        if self.files:
            name = data.draw(st.sampled_from(sorted(self.files)))
            (self.place / name).unlink()
            del self.files[name]

    @rule(data=st.data(), number=NUMBERS)
    def change(self, data, number):
        if self.files:
            self._put(data.draw(st.sampled_from(sorted(self.files))), number)

    @rule(data=st.data())
    def rename(self, data):
        if self.files:
            old, new = data.draw(st.sampled_from(sorted(self.files))), self._new_name()
            (self.place / old).rename(self.place / new)
            self.files[new] = self.files.pop(old)

    @rule(data=st.data())
    def duplicate(self, data):
        if self.files:
            self._put(self._new_name(), self.files[data.draw(st.sampled_from(sorted(self.files)))])

    @rule(data=st.data())
    def break_one(self, data):
        if self.files:
            name = data.draw(st.sampled_from(sorted(self.files)))
            (self.place / name).write_bytes(b"no image")
            del self.files[name]

    @rule()
    def grow_by_many_small_steps(self):
        """Enough small shards for them to be joined."""
        for _ in range(10):
            self._put(self._new_name(), 200 + self.n_named)
            self._bring_up_to_date()

    @invariant()
    def the_dna_is_that_of_a_full_rebuild(self):
        fitted, manifest = self._bring_up_to_date()
        assert Counter(row.digest for row in manifest.readable) == Counter(
            digest_of(image_bytes(number)) for number in self.files.values()
        )
        if fitted.record is None:
            assert not self.files
            return
        extractor = load(self.extractor)
        whole = Shard(tuple(row.item for row in manifest.readable))
        read = reader(self.project, self.dataset, manifest)
        [(_, rebuilt)] = extract_partials(extractor, self.ranges, [whole], read, workers=1)
        histogram, moments, blocks = self.project.lake.fingerprints.dna_sums(fitted.record.dna_id)
        counts_equal(histogram, rebuilt.histogram)
        counts_equal(blocks, rebuilt.blocks)
        moments_equal(moments, rebuilt.moments)

    def _bring_up_to_date(self):
        done = refresh(self.project, self.dataset)
        fitted = fit(self.project, self.dataset, self.extractor)
        digests = Counter(row.digest for row in done.manifest.readable)
        # What is added is extracted once, and nothing else; an image that goes takes its shard with it. A version that
        # had a DNA before needs no extraction, so that what it added is left to the next one.
        self.owed += inf if self.before - digests else (digests - self.before).total()
        assert fitted.work.n_images_extracted <= self.owed
        self.before = digests
        if not fitted.work.was_current:
            self.owed = 0
        return fitted, done.manifest

    def _new_name(self):
        self.n_named += 1
        return f"{self.n_named:05d}.png"

    def _put(self, name, number):
        write_image(self.place, name, number)
        self.files[name] = number

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()


class TestWatched(Watched.TestCase):
    settings = settings(max_examples=3, stateful_step_count=12, deadline=None)


@pytest.mark.campaign
class TestWatchedForLong(Watched.TestCase):
    settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
