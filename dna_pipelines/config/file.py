"""Reading the datasets file with errors that name the line, and editing it without losing comments."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from dna_pipelines.config.dataset import DatasetConfig
from dna_pipelines.config.document import dump_document, last_line_of, line_of, parse_document
from dna_pipelines.config.mistakes import Mistake, explain
from dna_pipelines.config.models import WatchConfig
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
            config = self._parse(self._text())
            if state is None:
                return config
            self._loaded = (state, config)
        return self._loaded[1]

    def dataset(self, name: str) -> DatasetConfig:
        """One dataset by name.

        Raises:
            UnknownName: when the file has no dataset of that name.
        """
        datasets = self.load().datasets
        for dataset in datasets:
            if dataset.name == name:
                return dataset
        known = [dataset.name for dataset in datasets]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known datasets: {', '.join(known) or 'none yet'}"
        raise UnknownName(
            f"there is no dataset '{name}'; {hint}",
            code="name.dataset",
            name=name,
            known=known,
            suggestion=close[0] if close else None,
        )

    def create(self, extractors: Sequence[Mapping[str, Any]] = ()) -> bool:
        """Write a commented file without datasets, unless the file exists; returns whether it was written.

        Args:
            extractors: its entries; by default the file names none.

        Raises:
            ConfigError: when an entry is wrong, or the file cannot be written.
        """
        if self.path.exists():
            return False
        text = self._template(extractors)
        self._parse(text)
        with self._writing():
            # The file may hold credentials, and the lake shows what is in private images.
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.write_text(text, encoding="utf-8")
        return True

    def has_extractors(self, extractors: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the file has these extractors, in this order and with these settings.

        Raises:
            ConfigError: when an entry is wrong, or the file is.
        """
        return self._parse(self._template(extractors)).extractors == self.load().extractors

    def checked(self, entry: dict[str, Any]) -> DatasetConfig:
        """Validate a new dataset without adding it.

        Raises:
            ConfigError: when its name is taken or one of its values is wrong.
        """
        taken = [dataset.name for dataset in self.load().datasets]
        if entry["name"].lower() in map(str.lower, taken):
            raise ConfigError(
                f"{self.path}: the name '{entry['name']}' is already taken; `dna list` shows all datasets",
                code="config.name-taken",
                file=str(self.path),
                name=entry["name"],
            )
        try:
            return DatasetConfig.model_validate(entry)
        except ValidationError as error:
            raise _error([_mistake_of_entry(problem) for problem in error.errors()]) from error

    def add(self, entry: dict[str, Any]) -> DatasetConfig:
        """Append a dataset and return it; the file stays as it is when the result would be invalid."""
        document = self._document()
        if document.get("datasets") is None:
            document["datasets"] = CommentedSeq()
        document["datasets"].append(CommentedMap(entry))
        self._replace(dump_document(document))
        return self.dataset(entry["name"])

    def remove(self, name: str) -> None:
        """Remove a dataset from the file; its fingerprints stay in the lake."""
        self.dataset(name)
        document = self._document()
        entries = document["datasets"]
        kept = [entry for entry in entries if entry["name"] != name]
        # Text is cut where that works, because YAML readers attach the comment above the next entry to this one.
        text = self._without_entry(entries, name, kept)
        if text is None:
            document["datasets"] = CommentedSeq(kept)
            text = dump_document(document)
        self._replace(text)

    def _template(self, extractors: Sequence[Mapping[str, Any]]) -> str:
        """The text of a new file."""
        text = files("dna_pipelines.config").joinpath("template.yaml").read_text(encoding="utf-8")
        if not extractors:
            return text
        document = parse_document(text, self.path)
        document["extractors"] = CommentedSeq(map(CommentedMap, extractors))
        return dump_document(document)

    def _without_entry(self, entries: CommentedSeq, name: str, kept: list[Any]) -> str | None:
        """The text without the lines of an entry; None when the other entries would not be the same."""
        if not kept or entries.fa.flow_style():
            return None
        index = next(index for index, entry in enumerate(entries) if entry["name"] == name)
        lines = self._text().splitlines(keepends=True)
        text = "".join(lines[: entries.lc.item(index)[0]] + lines[last_line_of(entries[index]) + 1 :])
        try:
            remaining = YAML(typ="safe").load(text)
        except YAMLError:
            return None
        return text if isinstance(remaining, dict) and remaining.get("datasets") == kept else None

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise ConfigError(
                f"{self.path}: there is no datasets file here; `dna add NAME URI` creates it",
                code="config.no-file",
                file=str(self.path),
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self.path}: cannot be read ({error})", code="config.unreadable", file=str(self.path)
            ) from error

    def _document(self) -> CommentedMap:
        return parse_document(self._text(), self.path)

    def _parse(self, text: str) -> WatchConfig:
        document = parse_document(text, self.path)
        try:
            config = WatchConfig.model_validate(document, context={"root": self.root})
        except ValidationError as error:
            raise _error([self._located(document, problem) for problem in error.errors()]) from error
        self._refuse_shared_names(document, config)
        self._refuse_shared_identifiers(document, config)
        return config

    def _located(self, document: CommentedMap, problem: Any) -> Mistake:
        """A mistake with its file and line."""
        code, message, facts = explain(problem, problem["loc"])
        line = line_of(document, problem["loc"])
        text = f"{self.path}, line {line}: {facts['key']}: {message}"
        return Mistake(code, text, {"file": str(self.path), "line": line, **facts})

    def _refuse_shared_names(self, document: CommentedMap, config: WatchConfig) -> None:
        for section in ("datasets", "extractors"):
            first: dict[str, int] = {}
            named = getattr(config, section)
            view_names = {entry.name.lower() for entry in named if getattr(entry, "view", None)}
            for index, entry in _with_index(named):
                # Case is folded because the name is a folder of the lake, also on file systems that ignore case.
                name = entry.name.lower()
                if name in first:
                    line, first_line = line_of(document, (section, index)), line_of(document, (section, first[name]))
                    hint = " (a view is called EXTRACTOR.VIEW)" if name in view_names else ""
                    raise ConfigError(
                        f"{self.path}, line {line}: the name '{entry.name}' is already taken on line {first_line}; "
                        f"names must differ{hint}",
                        code="config.name-taken",
                        file=str(self.path),
                        line=line,
                        name=entry.name,
                        first_line=first_line,
                        is_view=name in view_names,
                    )
                first[name] = index

    def _refuse_shared_identifiers(self, document: CommentedMap, config: WatchConfig) -> None:
        names: dict[str, str] = {}
        for index, extractor in _with_index(config.extractors):
            other = names.setdefault(extractor.identifier.lower(), extractor.name)
            if other != extractor.name:
                line = line_of(document, ("extractors", index))
                raise ConfigError(
                    f"{self.path}, line {line}: the names '{other}' and '{extractor.name}' differ only in '-', '.' "
                    "and '_', which Dagster does not distinguish; rename one of them",
                    code="config.names-too-similar",
                    file=str(self.path),
                    line=line,
                    names=[other, extractor.name],
                )

    def _replace(self, text: str) -> None:
        """Write another text, once it is known to be valid."""
        self._parse(text)
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with self._writing():
            try:
                draft.write_text(text, encoding="utf-8")
                draft.replace(self.path)
            finally:
                draft.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be written: {error.strerror}; nothing was changed",
                code="config.unwritable",
                file=str(self.path),
                errno=error.errno,
            ) from error


def _with_index(configs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Each configuration with the index of its entry in the file; a view has the index of its extractor."""
    index = -1
    for config in configs:
        index += getattr(config, "view", None) is None
        yield index, config


def _mistake_of_entry(problem: Any) -> Mistake:
    """A mistake in a dataset that is not in the file yet."""
    code, message, facts = explain(problem, ("datasets", *problem["loc"]))
    key = ".".join(map(str, problem["loc"]))
    return Mistake(code, f"{key}: {message}" if key else message, {**facts, "key": key})


def _error(mistakes: list[Mistake]) -> ConfigError:
    """One error for all mistakes: with the code and facts of the only one, or with a list of them."""
    text = "\n".join(mistake.message for mistake in mistakes)
    if len(mistakes) == 1:
        return ConfigError(text, code=mistakes[0].code, **mistakes[0].facts)
    return ConfigError(
        text,
        code="config.several-mistakes",
        mistakes=[{"code": mistake.code, **mistake.facts} for mistake in mistakes],
    )
