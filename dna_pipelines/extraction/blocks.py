"""Which modules are the layers: the blocks of a network by default, or what patterns choose."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from fsspec.utils import glob_translate
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.survey import Survey, survey

_MANY = 60
"""Names that a message lists at most."""


def default_taps(module: nn.Module, size_px: int, origin: str) -> tuple[str, ...]:
    """The blocks of a network, and the norm behind the last one.

    Blocks are the elements of its outermost lists of like modules; where those are stages that hold a
    list themselves, the elements of that. So: the blocks of ViT, Swin and ConvNeXt, the bottlenecks of
    ResNet.

    Raises:
        ExtractorError: when there is no such list; it names the modules that can be tapped.
    """
    seen = survey(module.eval(), 1, size_px)
    usable = {name for name, what in seen.items() if what.shape is not None and what.n_calls == 1}
    lists = _outermost_lists(module)
    blocks = [name for outer in lists for name in _blocks_of(module, outer) if name in usable]
    if not blocks:
        raise ExtractorError(
            f"{origin}: no lists of blocks were found, so name its layers with `layers:`; {working(usable)}"
        )
    order = list(seen)
    blocks.sort(key=order.index)
    return (*blocks, *_norms_behind(module, lists, blocks[-1], seen))


def chosen_taps(modules: Sequence[str], patterns: Iterable[str], origin: str) -> tuple[str, ...]:
    """The modules that patterns name, in the order of the network.

    `*` stays between two dots, `**` does not: `encoder.layer.*` is every block, and nothing inside.

    Raises:
        ExtractorError: when a pattern names no module.
    """
    found: set[str] = set()
    for pattern in patterns:
        rule = re.compile(glob_translate(pattern.replace(".", "/")))
        matching = [name for name in modules if name and rule.fullmatch(name.replace(".", "/"))]
        if not matching:
            close = difflib.get_close_matches(pattern, modules, n=3)
            hint = f"did you mean {', '.join(close)}?" if close else working(modules)
            raise ExtractorError(f"{origin}: no module is called '{pattern}'; {hint}")
        found.update(matching)
    return tuple(name for name in modules if name in found)


def working(names: Iterable[str]) -> str:
    """A list of modules for a message."""
    listed = sorted(filter(None, names), key=_natural)
    more = f" and {len(listed) - _MANY} more" if len(listed) > _MANY else ""
    return f"these modules work: {', '.join(listed[:_MANY])}{more}" if listed else "no module of it works"


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
