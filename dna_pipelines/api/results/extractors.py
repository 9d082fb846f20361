"""Results about the networks that measure: which there are, one in detail, and activation ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.tables import Table
from dna_pipelines.distributions import Layers
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.project.progress import counted
from dna_pipelines.update.networks import KINDS, Detail, Listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class ExtractorsResult(Result):
    """The networks that can fingerprint images: those of the project first.

    Attributes:
        networks: one entry each; none is loaded to make it.
    """

    networks: tuple[Listed, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What `fingerprint(network=…)` and the datasets file call them."""
        return tuple(network.extractor for network in self.networks)

    @property
    def kinds(self) -> dict[str, str]:
        """How any other network is named, and what that is."""
        return dict(KINDS)

    @property
    def table(self) -> Table:
        """A network a row: `extractor`, `group`, `network`, `used_here`, `layers`, `neurons`, `state`, and more."""
        return Table.of(self._json())

    @property
    def summary(self) -> str:
        """How many there are."""
        used = sum(network.used_here for network in self.networks)
        return f"{counted(len(self.networks), 'network')}, {used:,} of this project"

    def _json(self) -> Any:
        return [network.to_json() for network in self.networks]


@dataclass(frozen=True, eq=False, repr=False)
class ExtractorResult(Result):
    """One network in detail. It was loaded and probed.

    Attributes:
        detail: its layers, weights, licence and preprocessing.
    """

    detail: Detail

    @property
    def table(self) -> Table:
        """A layer a row, and its number of `neurons`."""
        return Table(("layer", "neurons"), tuple(self.detail.each_layer.items()))

    @property
    def summary(self) -> str:
        """What it is."""
        listed = self.detail.listed
        return f"{listed.extractor}: {listed.summary}"

    def _json(self) -> Any:
        return self.detail.to_json()


@dataclass(frozen=True, eq=False, repr=False)
class RangesResult(Result):
    """The activation ranges of an extractor, which its histograms are binned over.

    Attributes:
        extractor: its name in the datasets file.
        origin: the datasets or the file that they come from.
        layers: the layers of the neurons.
        minimum, maximum: (n_neurons,) the least and the largest activation in calibration.
        changed: whether they differ from those that were in use.
        replaces: whether others were in use, so that the DNAs of the extractor have to be computed again.
        n_constant: neurons of a foreign file with equal bounds, which the reference makes 2e-8 wide.
    """

    extractor: str
    origin: str
    layers: Layers
    minimum: NDArray[np.floating[Any]]
    maximum: NDArray[np.floating[Any]]
    changed: bool = False
    replaces: bool = False
    n_constant: int = 0

    @staticmethod
    def of(extractor: str, ranges: ActivationRanges, *, replaces: bool = False) -> RangesResult:
        """The result about ranges that are in use."""
        origin = ranges.origin or ", ".join(ranges.datasets)
        return RangesResult(extractor, origin, ranges.layers, ranges.minimum, ranges.maximum, replaces, replaces)

    @property
    def n_neurons(self) -> int:
        """Neurons, over all layers."""
        return self.layers.n_neurons

    @property
    def table(self) -> Table:
        """A layer a row: `n_neurons`, and the `minimum` and `maximum` over them."""
        parts = self.layers.slices.items()
        rows = (
            (name, part.stop - part.start, float(self.minimum[part].min()), float(self.maximum[part].max()))
            for name, part in parts
        )
        return Table(("layer", "n_neurons", "minimum", "maximum"), tuple(rows))

    @property
    def summary(self) -> str:
        """Whose they are, and what they come from."""
        return f"activation ranges of {self.extractor} from {self.origin}: {counted(self.n_neurons, 'neuron')}"

    def _json(self) -> Any:
        return {
            "extractor": self.extractor,
            "from": self.origin,
            "n_neurons": self.n_neurons,
            "changed": self.changed,
            "replaces": self.replaces,
            "n_constant": self.n_constant,
        }
