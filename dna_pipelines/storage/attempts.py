"""Attempts in the lake: what keeps a failure from being repeated for ever, and a kill from being final."""

from __future__ import annotations

import time

from dna_pipelines.storage.files import remove, replace
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.record_cache import RecordCache
from dna_pipelines.storage.records import Attempt

ALL = "(all)"
"""The partition of what has none; no dataset can be called that."""

_PATIENCE_S = (0.0, 60.0, 600.0, 3600.0)
"""How long to wait for a next try with the same input, after none, one, two, … that failed."""


class Attempts:
    """One record for each asset and partition, written when a try is asked for and removed when it succeeds."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._records = RecordCache()

    def last(self, asset: str, partition: str = ALL) -> Attempt | None:
        """The attempt that has not succeeded yet."""
        return self._records.read(Attempt, self._layout.attempt(asset, partition))

    def ask(self, asset: str, partition: str, input_id: str) -> None:
        """A try is asked for. It counts from now on, because it may fail before it begins."""
        self._try(asset, partition, input_id, begun=False)

    def begin(self, asset: str, partition: str, input_id: str) -> None:
        """A try begins, asked for or not."""
        self._try(asset, partition, input_id, begun=True)

    def fail(self, asset: str, partition: str, problem: str) -> None:
        """The try failed."""
        if last := self.last(asset, partition):
            self._put(asset, partition, last.model_copy(update={"problem": problem}))

    def forget(self, asset: str, partition: str) -> None:
        """The try succeeded, or never really began."""
        remove(self._layout.attempt(asset, partition))

    def may_try(self, asset: str, partition: str, input_id: str, now: float | None = None) -> bool:
        """Whether it is time for another try: at once with new input, later and later with the same.

        A try that ended without a word was killed, which may not be its own fault: it counts one less.
        """
        last = self.last(asset, partition)
        if last is None or last.input_id != input_id:
            return True
        n_failed = last.n_tries - (last.problem is None)
        wait_s = _PATIENCE_S[min(n_failed, len(_PATIENCE_S) - 1)]
        now = time.time() if now is None else now
        # What seems to come from the future was noted while the clock was wrong.
        return now >= last.at + wait_s or last.at > now

    def _try(self, asset: str, partition: str, input_id: str, *, begun: bool) -> None:
        last = self.last(asset, partition)
        known = last.n_tries if last and last.input_id == input_id else 0
        # The one that was asked for is the one that begins.
        n_tries = known if begun and known and last and not last.begun else known + 1
        self._put(asset, partition, Attempt(input_id=input_id, n_tries=n_tries, at=time.time(), begun=begun))

    def _put(self, asset: str, partition: str, attempt: Attempt) -> None:
        replace(self._layout.attempt(asset, partition), attempt.to_bytes())
