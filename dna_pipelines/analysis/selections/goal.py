"""What a selection is to be learned for, and from which images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dna_pipelines.comparison.steering import TOP_SHARE
from dna_pipelines.errors import UnknownName, UserError
from dna_pipelines.project.reference import Condition, Reference

Method = Literal["squares", "ratio"]


@dataclass(frozen=True)
class LearningGoal:
    """What to learn, and from which images. Either `respond_to` or `ignore` is given.

    Attributes:
        datasets: datasets, versions or slices; the images of each are compared among themselves.
        respond_to: attributes as COLUMN=VALUE: images with the value are compared with those with another.
        ignore: columns.
        against: columns to respond to as little as possible, or whose differences to keep; by default all other columns
            of few values.
        within: a column. Only images with the same value in it are compared, so that an attribute is not confused with
            what it correlates with.
        layers: the layers that may get weight; by default all, without virtual neurons.
        method: how weights are learned for `respond_to`.
        share: the share of neurons that the method `ratio` chooses.
    """

    datasets: tuple[str, ...]
    respond_to: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    within: str | None = None
    layers: tuple[str, ...] = ()
    method: Method = "squares"
    share: float = TOP_SHARE

    def require_complete(self) -> None:
        """Check that it says what to learn, and from what.

        Raises:
            UserError: when it does not.
        """
        if bool(self.respond_to) == bool(self.ignore):
            raise UserError(
                "name either an attribute to respond to (respond_to=, or --respond-to COLUMN=VALUE), or a column to "
                "ignore (ignore=, or --ignore COLUMN)",
                code="selection.goal",
            )
        if not self.datasets:
            raise UserError(
                "name the datasets to learn from (datasets=, or --datasets NAME)", code="selection.no-datasets"
            )


def attribute(text: str) -> Condition:
    """The attribute that COLUMN=VALUE names.

    Raises:
        UnknownName: when the text is of another form.
    """
    try:
        conditions = Reference.parse(f"x[{text}]").where
    except UnknownName:
        conditions = ()
    if len(conditions) != 1 or not conditions[0].equal or conditions[0].value is None:
        raise UnknownName(
            f"{text!r} is not an attribute with a value; write COLUMN=VALUE",
            code="selection.attribute-syntax",
            text=text,
        )
    return conditions[0]
