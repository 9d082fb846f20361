"""The reference of the `dna` command, from the command itself.

sphinx-click reads click's classes, and Typer has its own since it carries click inside; so this small directive reads
what `--help` shows and writes Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command

from dna_pipelines.cli.main import app

_STYLE = re.compile(r"\[/?(?:bold|dim|green|red|yellow|cyan|blue|italic)[^\]]*\]")


class CommandReference(SphinxDirective):
    """`{dna-commands}`: a section for every command, under the headings of `dna --help`."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        return self.parse_text_to_nodes("\n".join(reference(get_command(app))), allow_section_headings=True)


def reference(root: Any) -> Iterator[str]:
    """Markdown lines: options of all commands, then each command under the panel that the help shows it in."""
    yield from ["## Options of every command", "", "`dna [OPTIONS] COMMAND …`", "", *_parameters(root), ""]
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in root.commands.items():
        if not command.hidden:
            panels.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append((name, command))
    for panel, commands in panels.items():
        yield from [f"## {panel}", ""]
        for name, command in commands:
            yield from _command(f"dna {name}", command, "###")


def _command(path: str, command: Any, level: str) -> Iterator[str]:
    yield from [f"{level} {path}", "", *_prose(command.help or ""), ""]
    children = getattr(command, "commands", None)
    if children:
        for name, child in children.items():
            yield from _command(f"{path} {name}", child, level + "#")
        return
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join([path, "[OPTIONS]", *(_argument(argument) for argument in arguments)])
    yield from [f"`{usage}`", "", *_parameters(command), ""]


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("[]")
    name += " …" if parameter.nargs == -1 and "…" not in name and "..." not in name else ""
    return name if parameter.required else f"[{name}]"


def _parameters(command: Any) -> Iterator[str]:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    if not shown:
        return
    yield from ["| option | meaning |", "|---|---|"]
    for parameter in shown:
        names = "`, `".join([*parameter.opts, *parameter.secondary_opts])
        if parameter.param_type_name == "argument":
            names = _argument(parameter)
        text = " ".join(_prose(getattr(parameter, "help", None) or "")).replace("|", r"\|")
        default = _default(parameter)
        yield f"| `{names}` | {text}{f' Default: `{default}`.' if default else ''} |"


def _default(parameter: Any) -> str:
    value = parameter.default
    if not getattr(parameter, "show_default", True) or value in (None, False, True, (), [], "") or callable(value):
        return ""
    return str(value)


def _prose(text: str) -> list[str]:
    """The lines of a help text, without the marks of its styles."""
    return [_STYLE.sub("", line).replace("\b", "").replace("<", r"\<") for line in text.splitlines()]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("dna-commands", CommandReference)
    return {"parallel_read_safe": True}
