"""Every error this package raises on purpose.

    DnaError
    ├── UserError                 something the person at the keyboard can mend
    │   ├── ConfigError           data/datasets.yaml is wrong
    │   ├── SourceError           a dataset's location cannot be reached or listed
    │   ├── UnknownName           no dataset, version, layer or extractor of that name
    │   ├── ExtractorError        a network cannot serve as an extractor
    │   ├── CheckFailed           a blocking check withholds what would come next
    │   ├── InterchangeError      a file of another program is damaged, or not what it should be
    │   ├── Incomparable          two DNAs with different comparability keys
    │   └── NothingToCompare      a DNA is missing, or its dataset is empty
    ├── Unreadable                one image cannot be decoded (it is quarantined, never fatal)
    ├── Interrupted               Ctrl-C was pressed
    ├── SourceChanged             an image is no longer what the manifest says
    └── LakeError                 the lake on disk is damaged or of another format

A message says what is wrong, where, and what to do about it, and its wording may change. The code of an error and
its facts are stable: programs and tests rely on those. `docs/errors.md` lists every code.
"""

from __future__ import annotations

from typing import Any, ClassVar

from dna_pipelines.credentials import without_credentials


class DnaError(Exception):
    """Root of every error raised on purpose.

    Args:
        message: what is wrong, where, and what to do.
        code: a stable name such as `config.unknown-key`; by default that of the class.
        facts: what the message is made of: names, paths, line numbers, counts. JSON values.

    Attributes:
        code: see above.
        facts: see above.

    Examples:
        >>> error = UnknownName("there is no dataset 'cats'", code="name.dataset", name="cats")
        >>> error.code, error.facts["name"], str(error)
        ('name.dataset', 'cats', "there is no dataset 'cats'")
    """

    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str = "", **facts: Any) -> None:
        super().__init__(without_credentials(message))
        self.code = code or self.default_code
        self.facts = {name: _masked(value) for name, value in facts.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        """Keeps code and facts where an error passes from one process to another."""
        return type(self), self.args, {"code": self.code, "facts": self.facts}


def _masked(value: Any) -> Any:
    return without_credentials(value) if isinstance(value, str) else value


class DamagedFileWarning(UserWarning):
    """A damaged file of the lake was left out of an answer; the message names it and says what to do.

    Attributes:
        path: of the file; empty where the message is of several.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class UserError(DnaError):
    """A mistake the user can mend; the command line prints it without a stack trace."""

    default_code = "user"


class ConfigError(UserError):
    """The datasets file is wrong."""

    default_code = "config"


class SourceError(UserError):
    """A dataset's location cannot be reached or listed."""

    default_code = "source"


class UnknownName(UserError):
    """No dataset, version, layer or extractor of that name."""

    default_code = "name"


class ExtractorError(UserError):
    """A network cannot serve as an extractor."""

    default_code = "network"


class CheckFailed(UserError):
    """A blocking check withholds what would come next."""

    default_code = "check"


class InterchangeError(UserError):
    """A file that is exchanged with another program is missing, damaged, or not what it should be."""

    default_code = "file"


class Incomparable(UserError):
    """Two DNAs that were not measured the same way."""

    default_code = "compare.incomparable"


class NothingToCompare(UserError):
    """A DNA that is asked for does not exist, or belongs to an empty dataset."""

    default_code = "compare.nothing"


class Unreadable(DnaError):
    """One image cannot be decoded.

    `reason` is a stable word for grouping in SQL, of which the code is made; `detail` describes the problem.
    """

    default_code = "image"

    def __init__(self, reason: str, detail: str, **facts: Any) -> None:
        super().__init__(f"{reason}: {detail}", code=f"image.{reason.replace(' ', '-')}", **facts)
        self.reason = reason
        self.detail = without_credentials(detail)

    def __reduce__(self) -> tuple[Any, ...]:
        """Keeps reason, detail and facts where an error passes from one process to another."""
        return type(self), (self.reason, self.detail), {"facts": self.facts}


class Interrupted(DnaError):
    """Ctrl-C was pressed; what was finished is kept."""

    default_code = "interrupted"


class SourceChanged(DnaError):
    """An image changed or vanished between the scan and the extraction."""

    default_code = "source.changed"


class LakeError(DnaError):
    """The lake on disk is damaged, or was written by another format."""

    default_code = "lake"
