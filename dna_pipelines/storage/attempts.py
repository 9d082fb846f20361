"""Attempts to update an asset: failures are retried after growing pauses, and killed attempts are retried."""

from __future__ import annotations

import time

from dna_pipelines.storage.files import remove, replace
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.record_cache import RecordCache
from dna_pipelines.storage.records import Attempt

ALL = "(all)"
"""The partition of assets without partitions; no dataset can have this name."""

_PATIENCE_S = (0.0, 60.0, 600.0, 3600.0)
"""Pauses before the next attempt with the same input, after no, one, two, … failures."""


class Attempts:
    """One record for each asset and partition, written when an attempt is requested and removed when it succeeds."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._records = RecordCache()

    def last(self, asset: str, partition: str = ALL) -> Attempt | None:
        """The last attempt, if it has not succeeded yet."""
        return self._records.read(Attempt, self._layout.attempt(asset, partition))

    def ask(self, asset: str, partition: str, input_id: str) -> None:
        """Record that an attempt was requested. It counts already, because it may fail before it begins."""
        self._try(asset, partition, input_id, begun=False)

    def begin(self, asset: str, partition: str, input_id: str) -> None:
        """Record that an attempt begins, whether or not it was requested."""
        self._try(asset, partition, input_id, begun=True)

    def fail(self, asset: str, partition: str, problem: str) -> None:
        """Record that the attempt failed."""
        if last := self.last(asset, partition):
            self._put(asset, partition, last.model_copy(update={"problem": problem}))

    def forget(self, asset: str, partition: str) -> None:
        """Remove the record: the attempt succeeded, or had nothing to do."""
        remove(self._layout.attempt(asset, partition))

    def may_try(self, asset: str, partition: str, input_id: str, now: float | None = None) -> bool:
        """Whether another attempt is due: at once with new input, after a growing pause with the same input.

        An attempt that ended without a problem was killed, which its input may not have caused: it counts one less.
        """
        last = self.last(asset, partition)
        if last is None or last.input_id != input_id:
            return True
        n_failed = last.n_tries - (last.problem is None)
        wait_s = _PATIENCE_S[min(n_failed, len(_PATIENCE_S) - 1)]
        now = time.time() if now is None else now
        # A time in the future was recorded while the clock was wrong.
        return now >= last.at + wait_s or last.at > now

    def _try(self, asset: str, partition: str, input_id: str, *, begun: bool) -> None:
        last = self.last(asset, partition)
        known = last.n_tries if last and last.input_id == input_id else 0
        # The attempt that was requested is the one that begins.
        n_tries = known if begun and known and last and not last.begun else known + 1
        self._put(asset, partition, Attempt(input_id=input_id, n_tries=n_tries, at=time.time(), begun=begun))

    def _put(self, asset: str, partition: str, attempt: Attempt) -> None:
        replace(self._layout.attempt(asset, partition), attempt.to_bytes())
