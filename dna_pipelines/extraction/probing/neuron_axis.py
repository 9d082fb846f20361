"""Which axis of a module's output is the neuron, by how its shape follows the number and the size of images."""

from __future__ import annotations

from torch import nn

from dna_pipelines.extraction.probing.module_outputs import ModuleOutput


class NoLayerError(Exception):
    """A module cannot be a layer; the message continues "module NAME …".

    Attributes:
        reason: a stable word: `not-run`, `repeated`, `not-a-tensor`, `complex`, `batch-axis` or `neuron-axis`.
    """

    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(problem)
        self.reason = reason


def neuron_axis(
    part: nn.Module, two: ModuleOutput | None, three: ModuleOutput | None, larger: ModuleOutput | None
) -> int:
    """The axis of a module's output that is the neuron.

    It is the one whose length stays when the image grows. If several do, as in networks of one fixed image size:
    the axis that is as long as the module is wide, then the last of three, then of four the one that is not as long
    as the other two.

    Args:
        part: the module.
        two, three: its outputs for two and for three images.
        larger: its output for one image of twice the size; None if the network refuses it.

    Raises:
        NoLayerError: when the module cannot be a layer.
    """
    shape, more, grown = _required_shape(two), shape_of(three), shape_of(larger)
    what = f"returns outputs of shape {shape}"
    if not (len(shape) in (2, 3, 4) and shape[0] == 2 and more[:1] == (3,) and shape[1:] == more[1:]):
        problem = f"{what}, but the first axis must be the batch, followed by one to three axes"
        raise NoLayerError("batch-axis", problem)
    if len(shape) == 2:
        return 1
    constant = [axis for axis in range(1, len(shape)) if len(grown) != len(shape) or shape[axis] == grown[axis]]
    if len(constant) == 1:
        return constant[0]
    wide = [axis for axis in constant if shape[axis] in _widths(part)]
    if len(wide) == 1:
        return wide[0]
    if len(shape) == 3 and 2 in constant:
        return 2
    odd = [axis for axis in constant if shape[1:].count(shape[axis]) == 1]
    if len(shape) == 4 and len(odd) == 1:
        return odd[0]
    raise NoLayerError("neuron-axis", f"{what}, and {grown} for larger images: no axis is clearly the neuron")


def shape_of(output: ModuleOutput | None) -> tuple[int, ...]:
    """The shape of an output; empty if it has none."""
    return () if output is None or output.shape is None else output.shape


def _required_shape(output: ModuleOutput | None) -> tuple[int, ...]:
    """The shape of a module's output, if that is one tensor that can be counted."""
    if output is None:
        raise NoLayerError("not-run", "returned nothing in a forward pass: it does not run, or is scripted")
    if output.n_calls > 1:
        raise NoLayerError("repeated", "runs twice in one pass; choose the modules around it")
    if output.shape is None:
        raise NoLayerError("not-a-tensor", f"returns a {output.kind}, not a tensor; choose another")
    if output.is_complex:
        problem = (
            "returns complex numbers, which have no order; choose a module after it that returns their magnitudes "
            "(`abs`) or parts (`torch.view_as_real`)"
        )
        raise NoLayerError("complex", problem)
    return output.shape


def _widths(module: nn.Module) -> set[int]:
    """The width of the last part of a module that has one."""
    widths: set[int] = set()
    for part in module.modules():
        for attribute in ("out_channels", "out_features", "num_features", "normalized_shape"):
            width = getattr(part, attribute, None)
            if isinstance(width, int | tuple):
                widths = {width if isinstance(width, int) else int(width[-1])}
    return widths
