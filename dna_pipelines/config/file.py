"""Reading the datasets file with errors that name the line, and editing it without losing comments."""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from dna_pipelines.config.models import DatasetConfig, WatchConfig
from dna_pipelines.config.problems import in_words
from dna_pipelines.errors import ConfigError, UnknownName


class DatasetsFile:
    """`data/datasets.yaml`: parsed on demand, edited in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loaded: tuple[tuple[int, int, int], WatchConfig] | None = None

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.path.parent.parent

    def load(self) -> WatchConfig:
        """The file as typed models, parsed again whenever it changed.

        Raises:
            ConfigError: naming the file, the line and what to write instead.
        """
        state = self._state()
        if self._loaded is None or state is None or self._loaded[0] != state:
            config = self._parse()
            if state is None:
                return config
            self._loaded = (state, config)
        return self._loaded[1]

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _parse(self) -> WatchConfig:
        document = self._document()
        try:
            config = WatchConfig.model_validate(document, context={"root": self.root})
        except ValidationError as error:
            lines = [self._explain(document, problem["loc"], problem) for problem in error.errors()]
            raise ConfigError("\n".join(lines)) from error
        self._refuse_duplicates(document, config)
        return config

    def create(self) -> bool:
        """Write a commented file without datasets, unless there is one; returns whether it did."""
        if self.path.exists():
            return False
        template = files("dna_pipelines.config").joinpath("template.yaml")
        with self._written():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
        return True

    def checked(self, entry: dict[str, Any]) -> DatasetConfig:
        """A new dataset as it would be added.

        Raises:
            ConfigError: when its name is taken or something in it is wrong.
        """
        taken = [dataset.name for dataset in self.load().datasets]
        if entry["name"].lower() in map(str.lower, taken):
            raise ConfigError(f"{self.path}: the name '{entry['name']}' is already taken; `dna list` shows all")
        try:
            return DatasetConfig.model_validate(entry)
        except ValidationError as error:
            raise ConfigError("\n".join(_problem_of_entry(problem) for problem in error.errors())) from error

    def add(self, entry: dict[str, Any]) -> DatasetConfig:
        """Append a dataset and return it; the file stays as it was if the result would be invalid."""
        document = self._document()
        if document.get("datasets") is None:
            document["datasets"] = CommentedSeq()
        document["datasets"].append(CommentedMap(entry))
        self._replace(document)
        return self.dataset(entry["name"])

    def remove(self, name: str) -> None:
        """Drop a dataset from the file (its fingerprints stay in the lake)."""
        self.dataset(name)
        document = self._document()
        entries = document["datasets"]
        kept = [entry for entry in entries if entry["name"] != name]
        # Text is cut where that works, because YAML readers hang the comment above the next entry on this one.
        if not self._cut(entries, name, kept):
            document["datasets"] = CommentedSeq(kept)
            self._replace(document)

    def _cut(self, entries: CommentedSeq, name: str, kept: list[Any]) -> bool:
        """Cut the lines of an entry out of the file, if what remains says the same of the others."""
        if not kept or entries.fa.flow_style():
            return False
        place = next(index for index, entry in enumerate(entries) if entry["name"] == name)
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        text = "".join(lines[: entries.lc.item(place)[0]] + lines[_last_line(entries[place]) + 1 :])
        try:
            remaining = YAML(typ="safe").load(text)
        except YAMLError:
            return False
        if not isinstance(remaining, dict) or remaining.get("datasets") != kept:
            return False
        self._replace_text(text)
        return True

    def dataset(self, name: str) -> DatasetConfig:
        """One dataset by name."""
        datasets = self.load().datasets
        for dataset in datasets:
            if dataset.name == name:
                return dataset
        raise UnknownName(_unknown("dataset", name, [dataset.name for dataset in datasets]))

    def _document(self) -> CommentedMap:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise ConfigError(f"{self.path}: there is no datasets file here; `dna add NAME PLACE` makes one") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path}: cannot be read ({error})") from error
        try:
            document = YAML().load(text)
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{self.path}, line {line}: not valid YAML: {error.problem}") from error
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise ConfigError(f"{self.path}, line {line}: not valid YAML: {error.reason}") from error
        except YAMLError as error:
            raise ConfigError(f"{self.path}: not valid YAML: {error}") from error
        if document is None:
            return CommentedMap()
        if not isinstance(document, CommentedMap):
            raise ConfigError(f"{self.path}, line 1: expected `datasets:` and a list below it")
        return document

    def _replace(self, document: CommentedMap) -> None:
        buffer = io.StringIO()
        yaml = YAML()
        yaml.indent(mapping=2, sequence=4, offset=2)
        yaml.width = 100_000  # a long uri stays on its line
        yaml.dump(document, buffer)
        self._replace_text(buffer.getvalue())

    def _replace_text(self, text: str) -> None:
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with self._written():
            try:
                draft.write_text(text, encoding="utf-8")
                DatasetsFile(draft).load()
                draft.replace(self.path)
            except ConfigError as error:
                raise ConfigError(str(error).replace(str(draft), str(self.path))) from error
            finally:
                draft.unlink(missing_ok=True)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}; nothing was changed") from error

    def _refuse_duplicates(self, document: CommentedMap, config: WatchConfig) -> None:
        for section in ("datasets", "extractors"):
            seen: dict[str, int] = {}
            named = getattr(config, section)
            for index, entry in _entries(named):
                # Case is folded because the name is a folder of the lake, also where case is ignored.
                if entry.name.lower() in seen:
                    first = _line(document, (section, seen[entry.name.lower()]))
                    viewed = [one.name.lower() for one in named if getattr(one, "view", None)]
                    views = " (a view is called EXTRACTOR.VIEW)" if entry.name.lower() in viewed else ""
                    raise ConfigError(
                        f"{self.path}, line {_line(document, (section, index))}: the name "
                        f"'{entry.name}' is already taken on line {first}; names must differ{views}"
                    )
                seen[entry.name.lower()] = index
        steps: dict[str, str] = {}
        for index, extractor in _entries(config.extractors):
            other = steps.setdefault(extractor.identifier.lower(), extractor.name)
            if other != extractor.name:
                raise ConfigError(
                    f"{self.path}, line {_line(document, ('extractors', index))}: the names '{other}' and "
                    f"'{extractor.name}' differ in '-', '.' and '_' alone, which Dagster does not tell apart"
                )

    def _explain(self, document: CommentedMap, location: Sequence[int | str], problem: Any) -> str:
        where = ".".join(str(part) for part in location)
        return f"{self.path}, line {_line(document, location)}: {where}: {in_words(problem, location)}"


def _entries(configs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """What the file watches with the place of its entry; a view has that of its extractor."""
    place = -1
    for config in configs:
        place += getattr(config, "view", None) is None
        yield place, config


def _last_line(node: Any) -> int:
    """The last line (from 0) on which something of a mapping or list begins."""
    if not isinstance(node, CommentedMap | CommentedSeq):
        return 0
    keys = list(node) if isinstance(node, CommentedMap) else list(range(len(node)))
    own = [node.lc.value(key)[0] if isinstance(node, CommentedMap) else node.lc.item(key)[0] for key in keys]
    return int(max([node.lc.line, *own, *(_last_line(node[key]) for key in keys)]))


def _problem_of_entry(problem: Any) -> str:
    what = in_words(problem, ("datasets", *problem["loc"]))
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {what}" if where else what


def _line(document: Any, location: Sequence[int | str]) -> int:
    """The line (from 1) of the innermost part of a location that is in the document."""
    line, node = 1, document
    for part in location:
        try:
            position = node.lc.key(part) if isinstance(node, CommentedMap) else node.lc.item(part)
            line, node = position[0] + 1, node[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _unknown(kind: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(known) or 'none yet'}"
    return f"there is no {kind} '{name}'; {hint}"
