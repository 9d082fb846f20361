"""Which modules are the layers: the blocks of a network by default, or what patterns choose."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from fsspec.utils import glob_translate
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.probing.module_outputs import Survey, survey

_MANY = 60
"""Names that a message lists at most."""


def default_taps(module: nn.Module, size_px: int, label: str) -> tuple[str, ...]:
    """The blocks of a network, and the norm behind the last one; nothing where there are none.

    Blocks are the elements of its outermost lists of like modules; where those are stages that hold a
    list themselves, the elements of that. So: the blocks of ViT, Swin and ConvNeXt, the bottlenecks of
    ResNet.

    Raises:
        ExtractorError: when the network fails on images of that size.
    """
    seen = survey(module.eval(), 1, size_px, label)
    lists = _outermost_lists(module)
    blocks = [name for outer in lists for name in _blocks_of(module, outer) if name in seen and seen[name].usable]
    if not blocks:
        return ()
    order = list(seen)
    blocks.sort(key=order.index)
    return (*blocks, *_norms_behind(module, lists, blocks[-1], seen))


def chosen_taps(module: nn.Module, size_px: int, chosen: Iterable[str], label: str) -> tuple[str, ...]:
    """The modules that names and patterns choose, in the order of the network.

    `*` stays between two dots, `**` does not: `encoder.layer.*` is every block, and nothing inside. A pattern
    passes over what cannot be a layer, such as the list that holds the blocks; a name does not.

    Raises:
        ExtractorError: when one chooses nothing.
    """
    modules = [name for name, _ in module.named_modules() if name]
    seen: Survey | None = None
    found: set[str] = set()
    for pattern in chosen:
        if pattern in modules:
            found.add(pattern)
            continue
        rule = re.compile(glob_translate(pattern.replace(".", "/")))
        matching = [name for name in modules if rule.fullmatch(name.replace(".", "/"))]
        if not matching:
            close = difflib.get_close_matches(pattern, modules, n=3)
            hint = f"did you mean {', '.join(close)}?" if close else f"it has: {_listed(modules)}"
            raise ExtractorError(f"{label}: no module is called '{pattern}'; {hint}")
        seen = seen or survey(module.eval(), 1, size_px, label)
        usable = {name for name, what in seen.items() if what.usable}
        if usable.isdisjoint(matching):
            raise ExtractorError(
                f"{label}: of the modules that '{pattern}' matches, none gives one tensor in a pass; {working(usable)}"
            )
        found.update(usable.intersection(matching))
    return tuple(name for name in modules if name in found)


def working(names: Iterable[str]) -> str:
    """A list of modules for a message."""
    listed = _listed(names)
    return f"these modules work: {listed}" if listed else "no module of it works"


def _listed(names: Iterable[str]) -> str:
    listed = sorted(filter(None, names), key=_natural)
    return ", ".join(listed[:_MANY]) + (f" and {len(listed) - _MANY} more" if len(listed) > _MANY else "")


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _is_list_of_blocks(module: nn.Module, least: int) -> bool:
    if not isinstance(module, nn.ModuleList | nn.Sequential):
        return False
    elements = list(module)
    composite = all(any(True for _ in element.children()) for element in elements)
    return len(elements) >= least and composite and len({type(element) for element in elements}) == 1


def _outermost_lists(module: nn.Module) -> list[str]:
    found: list[str] = []
    for name, part in module.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        # Some networks embed patches anew before every stage, and keep those embeddings in a list too.
        embeds = "embed" in name.rpartition(".")[2]
        if not inside and not embeds and _is_list_of_blocks(part, 2):
            found.append(name)
    return found


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


def _norms_behind(module: nn.Module, lists: list[str], last: str, seen: Survey) -> list[str]:
    """Norms that run after the last block, and stand beside the lists or above them."""
    order = list(seen)
    homes = {""} | {prefix for name in lists for prefix in _ancestors(name)}
    return [
        name
        for name in order[order.index(last) + 1 :]
        if "Norm" in type(part := module.get_submodule(name)).__name__
        and name.rpartition(".")[0] in homes
        and any(True for _ in part.parameters())
        and seen[name].shape is not None
    ]


def _ancestors(name: str) -> list[str]:
    parts = name.split(".")[:-1]
    return [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
