"""The networks to fingerprint with: those of the project, those known by name, and one of them in detail.

Listing them loads no network and does not import torch.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dna_pipelines.config import ExtractorConfig
from dna_pipelines.errors import DnaError, ExtractorError
from dna_pipelines.extraction.files.catalogue import BUILT_IN, REFERENCE, Known
from dna_pipelines.extraction.files.change_token import entry_point_extractors, require_library, require_module
from dna_pipelines.extraction.files.hub import Repository
from dna_pipelines.extraction.files.model_folder import ModelFolder
from dna_pipelines.extraction.files.weight_files import (
    Published,
    built_in_weights,
    digest_of_files,
    present,
    timm_weights,
    where_to_put,
)
from dna_pipelines.project.project import ProjectFolder

PROJECT, PACKAGE, THE_REFERENCE, OTHERS = "this project", "built in", "the reference's", "of other packages"

NO_WEIGHTS = "none"
"""Shown for the weights of a network that is computed from formulas."""

_PROBED_AT_ONCE = 8
"""Most images per batch when a network is only shown: enough to detect dependence on the batch, and fast."""

KINDS = {
    "hf:ORG/REPO[@REVISION]": "a vision network of the hub, its images prepared in one of the known ways (extra `hf`)",
    "timm:ARCHITECTURE.TAG": "any network of timm (extra `timm`)",
    "local:FOLDER": "config.json, preprocessor_config.json and model.safetensors in a folder (extra `hf`)",
    "MODULE:FUNCTION": "your own function that returns a Network; the module may lie in the project's folder",
}
"""Locations that `network:` accepts, besides names."""


State = Literal["here", "to fetch", "missing"]
"""The state of the files of a network; `to fetch`: a run downloads them from the hub."""


@dataclass(frozen=True)
class Listed:
    """A row of the list; values are None where only loading the network would show them.

    Attributes:
        extractor: the name in the datasets file, or of a network.
        state: of its files.
        weights: where the weights are, or what to do if they are missing.
        view: the name of the view that replaces the layers' own neurons.
    """

    extractor: str
    group: str
    network: str
    used_here: bool
    layers: int | None = None
    neurons: int | None = None
    input_px: int | None = None
    licence: str | None = None
    weights_sha256: str | None = None
    state: State = "here"
    weights: str = ""
    summary: str = ""
    view: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return asdict(self)


@dataclass(frozen=True)
class Detail:
    """A loaded network in detail."""

    listed: Listed
    each_layer: dict[str, int] = field(default_factory=dict)
    """Names and widths."""
    left_out: tuple[str, ...] = ()
    """Layers of the network that a view leaves out."""
    tokens: str = "all"
    architecture: str = ""
    preprocessing: dict[str, Any] = field(default_factory=dict)
    neuron_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By layer, where its neurons have names."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        more = {"tokens": self.tokens, "architecture": self.architecture, "preprocessing": self.preprocessing}
        last = {"left_out": list(self.left_out), "neuron_names": self.neuron_names}
        return {**self.listed.to_json(), **more, "each_layer": self.each_layer, **last}


def list_networks(project: ProjectFolder) -> list[Listed]:
    """The project's extractors, then every other network with a name."""
    entries = _entries(project)
    own = [describe_extractor(entry) for entry in entries]
    taken = {entry.loads for entry in entries if entry.name == entry.loads}
    named = [
        _of_known(known, group, project.root)
        for group, some in ((PACKAGE, BUILT_IN), (THE_REFERENCE, REFERENCE))
        for known in some
        if known.name not in taken
    ]
    others = [
        Listed(name, OTHERS, name, used_here=False, weights=f"in {point.value}")
        for name, point in sorted(entry_point_extractors().items())
        if name not in taken
    ]
    return [*own, *named, *others]


def describe_network(project: ProjectFolder, name: str) -> Detail:
    """Load a network and probe it on the CPU: an extractor of the datasets file, or any network.

    Raises:
        UnknownName: when there is no such extractor or network.
        ExtractorError: when the network cannot be used.
    """
    from dna_pipelines.extraction.loading.registry import find_network, with_layers
    from dna_pipelines.extraction.probing.probe import probe
    from dna_pipelines.extraction.views.view_layers import layers_of_view

    entry = next((entry for entry in _entries(project) if entry.name == name), None)
    location, layers, tokens = (entry.loads, entry.layers, entry.tokens) if entry else (name, (), "all")
    batch_size = min(entry.batch_size if entry else _PROBED_AT_ONCE, _PROBED_AT_ONCE)
    network = with_layers(find_network(location, project.root), layers)
    probed = probe(network, batch_size=batch_size, tokens=tokens)
    shown, summary = probed.layers, network.summary
    left_out: tuple[str, ...] = ()
    if entry and entry.view:
        made = layers_of_view(entry.view, probed.layers, probed.positions, network.label)
        shown, left_out = made.layers, made.left_out(probed.layers)
        summary = f"{entry.view.summary}; {network.summary}"
    listed = Listed(
        extractor=name,
        group=PROJECT if entry else "",
        network=network.origin or location,
        used_here=entry is not None,
        layers=len(shown),
        neurons=shown.n_neurons,
        input_px=network.preprocessing.size_px,
        licence=network.licence,
        weights_sha256=network.weights_digest or None,
        weights="" if network.weights_digest else NO_WEIGHTS,
        summary=summary,
        view=entry.view.name if entry and entry.view else None,
    )
    widths = {layer.name: layer.n_neurons for layer in shown}
    names = {} if listed.view else {n: some for n, some in network.neuron_names.items() if n in widths}
    return Detail(listed, widths, left_out, tokens, network.architecture, network.preprocessing.key(), names)


def describe_extractor(entry: ExtractorConfig) -> Listed:
    """Describe an extractor of the datasets file without loading its network."""
    known = {known.name: known for known in (*BUILT_IN, *REFERENCE)}.get(entry.loads)
    facts: dict[str, Any] = {"extractor": entry.name, "group": PROJECT, "network": entry.loads, "used_here": True}
    if entry.view:
        facts |= {"view": entry.view.name, "summary": entry.view.summary}
    if known:
        chosen = {"layers": None, "neurons": None} if entry.layers or entry.view else {}
        return Listed(**{**_of_known(known, PROJECT, entry.root).to_json(), **facts, **chosen})
    try:
        return Listed(**facts, **_of_location(entry.loads, entry.root))
    except DnaError as error:
        return Listed(**facts, state="missing", weights=f"not here: {error}")


def _entries(project: ProjectFolder) -> tuple[ExtractorConfig, ...]:
    return project.config().extractors if project.file.path.exists() else ()


def _of_known(known: Known, group: str, root: Path) -> Listed:
    facts: dict[str, Any] = {
        "layers": known.n_layers, "neurons": known.n_neurons, "input_px": known.input_px,
        "licence": known.licence, "summary": known.summary,
    }  # fmt: skip
    if not known.has_weights:
        return Listed(known.name, group, known.name, used_here=False, **facts, weights=NO_WEIGHTS)
    path = present(known.published, root) if known.published else built_in_weights(known.name)
    weights = _weights(known.name, [path] if path else [], known.published, root)
    return Listed(known.name, group, known.name, used_here=False, **facts, **weights)


def _of_location(network: str, root: Path) -> dict[str, Any]:
    """Describe the network at a location without loading it."""
    require_library(network)
    kind, _, rest = network.partition(":")
    if kind == "hf":
        repository = Repository.parse(rest)
        folder = repository.cached()
        if folder is None:
            return {"state": "to fetch", "weights": f"not here: {repository.missing()}"}
        return {
            **_weights(network, folder.weight_files()),
            "licence": folder.licence() or f"unknown: see {repository.card}",
        }
    if kind == "local":
        local = ModelFolder(root / os.path.expanduser(rest))
        return {**_weights(network, local.weight_files()), "licence": local.licence()}
    if kind == "timm":
        published = timm_weights(rest)
        path = present(published, root)
        return _weights(network, [path] if path else [], published, root)
    if point := entry_point_extractors().get(network):
        return {"weights": f"in {point.value}"}
    # A name without a location may be that of a network that only this process knows.
    if ":" in network:
        require_module(network, root)
    return {"weights": f"in {network}"}


def _weights(
    network: str, files: list[Path], published: Published | None = None, root: Path | None = None
) -> dict[str, Any]:
    """Where the weights of a network are, and their digest; or what to do if they are missing."""
    if files:
        return {"weights": str(files[0]), "weights_sha256": digest_of_files(files)}
    if published is None or root is None:
        raise ExtractorError(
            "the weights are missing from this installation; install dna_pipelines again",
            code="network.weights-missing",
            network=network,
        )
    state: State = "to fetch" if published.hub_repo else "missing"
    return {"state": state, "weights": f"not here: {where_to_put(published, root)}"}
