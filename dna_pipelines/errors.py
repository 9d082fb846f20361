"""Every error this package raises on purpose.

    DnaError
    ├── UserError                 something the person at the keyboard can mend
    │   ├── ConfigError           data/datasets.yaml is wrong
    │   ├── SourceError           a dataset's place cannot be reached or listed
    │   ├── UnknownName           no dataset, version, layer or extractor of that name
    │   ├── ExtractorError        a network cannot serve as an extractor
    │   ├── CheckFailed           a blocking check withholds what would come next
    │   ├── InterchangeError      a file of another program is damaged, or not what it should be
    │   ├── Incomparable          two DNAs with different comparability keys
    │   └── NothingToCompare      a DNA is missing, or its dataset is empty
    ├── Unreadable                one image cannot be decoded (it is quarantined, never fatal)
    ├── Interrupted               somebody pressed Ctrl-C
    ├── SourceChanged             an image is no longer what the manifest says
    └── LakeError                 the lake on disk is damaged or of another format

A message says what is wrong, where, and what to do about it.
"""

from __future__ import annotations


class DnaError(Exception):
    """Root of every error raised on purpose."""


class UserError(DnaError):
    """A mistake the user can mend; the command line prints it without a stack trace."""


class ConfigError(UserError):
    """The datasets file is wrong."""


class SourceError(UserError):
    """A dataset's place cannot be reached or listed."""


class UnknownName(UserError):
    """No dataset, version, layer or extractor of that name."""


class ExtractorError(UserError):
    """A network cannot serve as an extractor."""


class CheckFailed(UserError):
    """A blocking check withholds what would come next."""


class InterchangeError(UserError):
    """A file that is exchanged with another program is missing, damaged, or not what it should be."""


class Incomparable(UserError):
    """Two DNAs that were not measured the same way."""


class NothingToCompare(UserError):
    """A DNA that is asked for does not exist, or belongs to an empty dataset."""


class Unreadable(DnaError):
    """One image cannot be decoded.

    `reason` is a stable word for grouping in SQL; `detail` says what was seen.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Interrupted(DnaError):
    """Somebody pressed Ctrl-C; what was finished is kept."""


class SourceChanged(DnaError):
    """An image changed or vanished between the scan and the extraction."""


class LakeError(DnaError):
    """The lake on disk is damaged, or was written by another format."""
