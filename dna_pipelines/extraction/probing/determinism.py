"""Whether what a network gives for an image depends on that image alone: not on its batch, nor on those beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.user_code import RAISED

_PATIENCE_S = 2.0
"""How long a pass waits for its turn. One that waits longer holds a lock that the other wants."""

_N_TRIES = 5
"""How often two passes run at once where they cannot take turns."""

Outputs = dict[int, torch.Tensor]
"""What the layers give in a pass, by their index."""


def require_determinism(extractor: Extractor) -> None:
    """Refuse a network whose activations are not finite, or depend on more than the image.

    Raises:
        ExtractorError: saying in which layers, and why.
    """
    _require_steady_rows(extractor)
    # An accelerator has one lane, those of the CPU share the module.
    if extractor.device == "cpu":
        _require_passes_apart(extractor)


def _require_steady_rows(extractor: Extractor) -> None:
    """The same image at both ends of two different batches must give the same bits, which must be finite."""
    first_batch, last_batch = _noise(extractor, extractor.batch_size)
    last_batch[-1] = first_batch[0]
    first, last = _row(extractor, first_batch, 0), _row(extractor, last_batch, -1)
    label = extractor.network.label
    if wrong := _named(extractor, (index for index, row in first.items() if not row.isfinite().all())):
        raise ExtractorError(
            f"{label}: NaN or infinity comes out of {wrong}, for images of plain noise; look for it in the "
            "weights, and in what is divided by"
        )
    if moved := _named(extractor, _differing(first, last)):
        if drawn := _named(extractor, _differing(first, _row(extractor, first_batch, 0))):
            raise ExtractorError(
                f"{label}: two passes of the same images differ (in {drawn}); a frozen network in "
                "evaluation mode must draw no random numbers"
            )
        raise ExtractorError(
            f"{label}: what an image gives depends on its batch (in {moved}); "
            "a frozen network in evaluation mode must treat every image alone. If it does, and only last bits move, "
            "another batch_size helps: a multiple of 8"
        )


def _require_passes_apart(extractor: Extractor) -> None:
    """Two passes at once must give what they give one after the other.

    They take turns at every call of torch, so that what one leaves on the network is overwritten by the
    other before it is used. Left to themselves they would do that now and then, in thousands of batches.
    """
    batches = _noise(extractor, min(2, extractor.batch_size))
    try:
        alone, n_tries = [_outputs(extractor, batch, _Stepwise()) for batch in batches], 1
    # Some compiled code cannot be followed call by call.
    except ExtractorError:
        alone, n_tries = [_outputs(extractor, batch) for batch in batches], _N_TRIES
    for _ in range(n_tries):
        found, error = _at_once(extractor, batches, _Turns() if n_tries == 1 else None)
        moved = {index for pair in zip(alone, found, strict=True) for index in _differing(*pair)}
        if error or moved:
            where = f"one fails ({error})" if error else f"they differ in {_named(extractor, moved)}"
            raise ExtractorError(
                f"{extractor.network.label}: two forward passes at once give other activations than one after the "
                f"other: {where}. The network keeps something on itself during a pass (`self.x = …`, or a list or "
                "dict that it fills), which the workers of a CPU share; keep it in local variables and hand it on"
            ) from error


def _at_once(extractor: Extractor, batches: list[torch.Tensor], turns: _Turns | None) -> tuple[list[Outputs], Any]:
    """What two passes give that run at the same time, and what one of them raised."""
    found: list[Outputs] = [{}, {}]
    errors: list[BaseException] = []

    def work(me: int) -> None:
        try:
            found[me] = _outputs(extractor, batches[me], _Stepwise(lambda: turns.step(me)) if turns else None)
        except RAISED as error:
            errors.append(error)
        finally:
            if turns:
                turns.end()

    threads = [threading.Thread(target=work, args=(me,), name="probe", daemon=True) for me in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, errors[0] if errors else None


class _Turns:
    """Two threads take turns, until one has ended."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._turn, self._over = 0, False

    def step(self, me: int) -> None:
        """Let the other go on, and wait until it has made its step."""
        with self._changed:
            self._turn = 1 - me
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._over or self._turn == me, _PATIENCE_S):
                self._over = True

    def end(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()


class _Stepwise(TorchFunctionMode):
    """Calls something before everything that this thread asks of torch."""

    def __init__(self, step: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._step = step

    def __torch_function__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._step()
        return operation(*args, **(kwargs or {}))


def _noise(extractor: Extractor, n_images: int) -> list[torch.Tensor]:
    """Two batches."""
    size, generator = extractor.network.preprocessing.size_px, torch.Generator().manual_seed(1)
    return [torch.rand(n_images, 3, size, size, generator=generator) for _ in range(2)]


def _outputs(extractor: Extractor, batch: torch.Tensor, mode: _Stepwise | None = None) -> Outputs:
    found: Outputs = {}
    with mode or nullcontext():
        extractor.run(batch.to(extractor.device), lambda index, output: found.update({index: output.clone()}))
    return found


def _row(extractor: Extractor, batch: torch.Tensor, place: int) -> Outputs:
    """What every layer gives for the image at one place of a batch."""
    found: Outputs = {}
    extractor.run(batch.to(extractor.device), lambda index, output: found.update({index: output[place].clone()}))
    return found


def _differing(one: Outputs, other: Outputs) -> list[int]:
    """Layers whose bits differ."""
    return [index for index in one if index not in other or not torch.equal(_bits(one[index]), _bits(other[index]))]


def _bits(values: torch.Tensor) -> torch.Tensor:
    return values.contiguous().flatten().view(torch.uint8)


def _named(extractor: Extractor, layers: Iterable[int]) -> str:
    return ", ".join(extractor.layers.names[index] or "the network itself" for index in sorted(layers))
