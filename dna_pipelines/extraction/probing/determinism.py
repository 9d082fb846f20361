"""The determinism check: the activations of an image must depend on that image alone.

They must not be random, and must depend neither on the other images of the batch nor on concurrent passes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.user_code import USER_CODE_ERRORS

_TURN_TIMEOUT_S = 2.0
"""How long a pass waits for its turn. A pass that waits longer holds a lock that the other pass needs."""

_N_TRIES = 5
"""How often two concurrent passes are compared where they cannot take turns."""

Outputs = dict[int, torch.Tensor]
"""The outputs of the layers in one pass, by the index of the layer."""


def require_deterministic(extractor: Extractor) -> None:
    """Refuse a network whose activations are not finite, or depend on more than the image.

    Raises:
        ExtractorError: `network.not-finite`, `network.random`, `network.depends-on-batch` or `network.shared-state`,
            with the layers.
    """
    _require_independent_rows(extractor)
    # An accelerator has one lane; the lanes of a CPU share the module.
    if extractor.device == "cpu":
        _require_independent_passes(extractor)


def _require_independent_rows(extractor: Extractor) -> None:
    """An image at both ends of two different batches must give the same bits, which must be finite."""
    first_batch, last_batch = _noise(extractor, extractor.batch_size)
    last_batch[-1] = first_batch[0]
    first, last = _row(extractor, first_batch, 0), _row(extractor, last_batch, -1)
    label = extractor.network.label
    if layers := _names(extractor, (index for index, row in first.items() if not row.isfinite().all())):
        raise ExtractorError(
            f"{label}: {', '.join(layers)} returns NaN or infinity for images of noise; look for it in the weights, "
            "and for divisions by zero",
            code="network.not-finite",
            network=label,
            layers=layers,
        )
    if layers := _names(extractor, _differing(first, last)):
        if random := _names(extractor, _differing(first, _row(extractor, first_batch, 0))):
            raise ExtractorError(
                f"{label}: two passes of the same images differ in {', '.join(random)}; a frozen network in "
                "evaluation mode must draw no random numbers",
                code="network.random",
                network=label,
                layers=random,
            )
        raise ExtractorError(
            f"{label}: the activations of an image in {', '.join(layers)} depend on the other images of its batch; "
            "a frozen network in evaluation mode must treat every image alone. If it does, and only last bits "
            "differ, set batch_size to a multiple of 8",
            code="network.depends-on-batch",
            network=label,
            layers=layers,
            batch_size=extractor.batch_size,
        )


def _require_independent_passes(extractor: Extractor) -> None:
    """Two concurrent passes must give the activations of two consecutive ones.

    They take turns at every call of torch, so whatever one stores on the network is overwritten by the other before
    it is used. Without turns that would happen rarely: in one of thousands of batches.
    """
    label = extractor.network.label
    batches = _noise(extractor, min(2, extractor.batch_size))
    try:
        expected, n_tries = [_outputs(extractor, batch, _Stepwise()) for batch in batches], 1
    # Some compiled code cannot be followed call by call.
    except ExtractorError:
        expected, n_tries = [_outputs(extractor, batch) for batch in batches], _N_TRIES
    for _ in range(n_tries):
        concurrent, error = _at_once(extractor, batches, _Turns() if n_tries == 1 else None)
        differing = {index for pair in zip(expected, concurrent, strict=True) for index in _differing(*pair)}
        if error or differing:
            layers = _names(extractor, differing)
            where = f"one fails ({error})" if error else f"they differ in {', '.join(layers)}"
            facts = {**getattr(error, "facts", {}), "layers": layers, "network": label}
            raise ExtractorError(
                f"{label}: two concurrent forward passes give other activations than two consecutive ones: {where}. "
                "The network stores something on itself during a pass (`self.x = …`, or a list or dict that it fills), "
                "which the workers of a CPU share; use local variables and arguments instead",
                code="network.shared-state",
                **facts,
            ) from error


def _at_once(extractor: Extractor, batches: list[torch.Tensor], turns: _Turns | None) -> tuple[list[Outputs], Any]:
    """The outputs of two concurrent passes, and the exception that one of them raised, if any."""
    outputs: list[Outputs] = [{}, {}]
    errors: list[BaseException] = []

    def work(me: int) -> None:
        try:
            outputs[me] = _outputs(extractor, batches[me], _Stepwise(lambda: turns.step(me)) if turns else None)
        except USER_CODE_ERRORS as error:
            errors.append(error)
        finally:
            if turns:
                turns.end()

    threads = [threading.Thread(target=work, args=(me,), name="probe", daemon=True) for me in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outputs, errors[0] if errors else None


class _Turns:
    """Lets two threads take turns until one of them ends."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._turn, self._over = 0, False

    def step(self, me: int) -> None:
        """Let the other thread run, and wait until it has made its step."""
        with self._changed:
            self._turn = 1 - me
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._over or self._turn == me, _TURN_TIMEOUT_S):
                self._over = True

    def end(self) -> None:
        """Stop taking turns; a waiting thread continues."""
        with self._changed:
            self._over = True
            self._changed.notify_all()


class _Stepwise(TorchFunctionMode):
    """Calls a function before every operation of torch in this thread."""

    def __init__(self, step: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._step = step

    def __torch_function__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._step()
        return operation(*args, **(kwargs or {}))


def _noise(extractor: Extractor, n_images: int) -> list[torch.Tensor]:
    """Two batches of noise."""
    size, generator = extractor.network.preprocessing.size_px, torch.Generator().manual_seed(1)
    return [torch.rand(n_images, 3, size, size, generator=generator) for _ in range(2)]


def _outputs(extractor: Extractor, batch: torch.Tensor, mode: _Stepwise | None = None) -> Outputs:
    outputs: Outputs = {}
    with mode or nullcontext():
        extractor.run(batch.to(extractor.device), lambda index, output: outputs.update({index: output.clone()}))
    return outputs


def _row(extractor: Extractor, batch: torch.Tensor, row: int) -> Outputs:
    """The outputs of every layer for one image of a batch."""
    outputs: Outputs = {}
    extractor.run(batch.to(extractor.device), lambda index, output: outputs.update({index: output[row].clone()}))
    return outputs


def _differing(first: Outputs, second: Outputs) -> list[int]:
    """The layers whose bits differ."""
    return [
        index for index in first if index not in second or not torch.equal(_bits(first[index]), _bits(second[index]))
    ]


def _bits(values: torch.Tensor) -> torch.Tensor:
    return values.contiguous().flatten().view(torch.uint8)


def _names(extractor: Extractor, layers: Iterable[int]) -> list[str]:
    return [extractor.layers.names[index] or "the network itself" for index in sorted(layers)]
