"""Choosing the layers of a network: its blocks by default, or the modules that names and patterns select."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from fsspec.utils import glob_translate
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.probing.module_outputs import ModuleOutputs, module_outputs

_MAX_LISTED = 60
"""The most names that a message lists."""


def default_taps(module: nn.Module, size_px: int, label: str) -> tuple[str, ...]:
    """The blocks of a network, and the norm after the last one; empty if the network has no lists of blocks.

    Blocks are the elements of its outermost lists of modules of one class; if those are stages that hold a
    list themselves, the elements of that list. So: the blocks of ViT, Swin and ConvNeXt, the bottlenecks of
    ResNet.

    Args:
        module: the network.
        size_px: height and width of its images.
        label: what error messages call it.

    Raises:
        ExtractorError: `network.forward` when the network fails on images of that size.
    """
    outputs = module_outputs(module.eval(), 1, size_px, label)
    lists = _outermost_lists(module)
    blocks = [name for outer in lists for name in _blocks_of(module, outer) if name in outputs and outputs[name].usable]
    if not blocks:
        return ()
    order = list(outputs)
    blocks.sort(key=order.index)
    return (*blocks, *_norms_behind(module, lists, blocks[-1], outputs))


def chosen_taps(module: nn.Module, size_px: int, chosen: Iterable[str], label: str) -> tuple[str, ...]:
    """The modules that names and patterns select, in the order of the network.

    `*` matches within one part of a dotted name, `**` across parts: `encoder.layer.*` is every block and nothing
    inside the blocks. A pattern skips modules that cannot be layers, such as the list that holds the blocks; a name
    does not.

    Args:
        module: the network.
        size_px: height and width of its images.
        chosen: names and patterns.
        label: what error messages call the network.

    Raises:
        ExtractorError: `network.layer-unknown` when a name or pattern matches no module, `network.layer-unusable`
            when a pattern matches only modules that cannot be layers.
    """
    modules = [name for name, _ in module.named_modules() if name]
    outputs: ModuleOutputs | None = None
    selected: set[str] = set()
    for pattern in chosen:
        if pattern in modules:
            selected.add(pattern)
            continue
        rule = re.compile(glob_translate(pattern.replace(".", "/")))
        matching = [name for name in modules if rule.fullmatch(name.replace(".", "/"))]
        if not matching:
            close = difflib.get_close_matches(pattern, modules, n=3)
            hint = f"did you mean {', '.join(close)}?" if close else f"it has: {listed(modules)}"
            raise ExtractorError(
                f"{label}: no module is called '{pattern}'; {hint}",
                code="network.layer-unknown",
                network=label,
                layer=pattern,
                close=close,
                modules=in_order(modules),
            )
        outputs = outputs or module_outputs(module.eval(), 1, size_px, label)
        usable = {name for name, output in outputs.items() if output.usable}
        if usable.isdisjoint(matching):
            raise ExtractorError(
                f"{label}: no module that '{pattern}' matches returns one tensor per pass; {usable_hint(usable)}",
                code="network.layer-unusable",
                network=label,
                layer=pattern,
                reason="not-a-tensor",
                usable=in_order(usable),
            )
        selected.update(usable.intersection(matching))
    return tuple(name for name in modules if name in selected)


def usable_hint(names: Iterable[str]) -> str:
    """The part of a message that lists the modules that can be layers."""
    modules = listed(names)
    return f"these modules can be layers: {modules}" if modules else "none of its modules can be a layer"


def listed(names: Iterable[str]) -> str:
    """Names of modules for a message, which lists some of them where there are many."""
    ordered = in_order(names)
    more = f" and {len(ordered) - _MAX_LISTED} more" if len(ordered) > _MAX_LISTED else ""
    return ", ".join(ordered[:_MAX_LISTED]) + more


def in_order(names: Iterable[str]) -> list[str]:
    """Names of modules, sorted so that numbers count as numbers; without the empty name of the network itself."""
    return sorted(filter(None, names), key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _is_list_of_blocks(module: nn.Module, least: int) -> bool:
    if not isinstance(module, nn.ModuleList | nn.Sequential):
        return False
    elements = list(module)
    composite = all(any(True for _ in element.children()) for element in elements)
    return len(elements) >= least and composite and len({type(element) for element in elements}) == 1


def _outermost_lists(module: nn.Module) -> list[str]:
    lists: list[str] = []
    for name, part in module.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in lists)
        # Some networks embed patches before every stage, and keep those embeddings in a list too.
        embeds = "embed" in name.rpartition(".")[2]
        if not inside and not embeds and _is_list_of_blocks(part, 2):
            lists.append(name)
    return lists


def _blocks_of(module: nn.Module, outer: str) -> list[str]:
    """The elements of a list, or of the list that each of its elements holds."""
    elements = {f"{outer}.{name}".lstrip("."): part for name, part in module.get_submodule(outer).named_children()}
    inner = [[*_lists_in(name, part)] for name, part in elements.items()]
    if all(len(lists) == 1 for lists in inner):
        return [name for lists in inner for name in lists[0]]
    return list(elements)


def _lists_in(name: str, stage: nn.Module) -> Iterable[list[str]]:
    if _is_list_of_blocks(stage, 1):
        yield [f"{name}.{index}" for index, _ in stage.named_children()]
        return
    for child, part in stage.named_children():
        if _is_list_of_blocks(part, 1):
            yield [f"{name}.{child}.{index}" for index, _ in part.named_children()]


def _norms_behind(module: nn.Module, lists: list[str], last: str, outputs: ModuleOutputs) -> list[str]:
    """Norms that run after the last block, and are siblings of the lists or of their ancestors."""
    order = list(outputs)
    homes = {""} | {prefix for name in lists for prefix in _ancestors(name)}
    return [
        name
        for name in order[order.index(last) + 1 :]
        if "Norm" in type(part := module.get_submodule(name)).__name__
        and name.rpartition(".")[0] in homes
        and any(True for _ in part.parameters())
        and outputs[name].shape is not None
    ]


def _ancestors(name: str) -> list[str]:
    parts = name.split(".")[:-1]
    return [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
