"""Two small networks with seeded random weights, for tests.

Random weights respond to colour, brightness and edges, and little to content; use the embedded extractor (`builtin`)
for datasets. `seeded_vit` shows that networks of tokens work. Their weights are files of the package;
`python -m dna_pipelines.extraction.networks.seeded` reproduces them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.files.catalogue import KNOWN
from dna_pipelines.extraction.files.weight_files import built_in_weights, digest_of_files
from dna_pipelines.extraction.networks.vit import Block
from dna_pipelines.imaging import Preprocessing


class SeededCnn(nn.Module):
    """Four stages of strided convolutions with residual blocks; 96 px in, 4 tapped stages."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96)) -> None:
        super().__init__()
        previous = 3
        for index, width in enumerate(widths, start=1):
            self.add_module(f"stage{index}", _Stage(previous, width))
            previous = width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) to (n, 96, h/16, w/16)."""
        for stage in self.children():
            images = stage(images)
        return images


class _Stage(nn.Module):
    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(width_in, width, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.down(x))
        return torch.relu(x + self.mix(x))


class SeededVit(nn.Module):
    """A three-block transformer on 8 px patches of 64 px images."""

    def __init__(self, width: int = 64, depth: int = 3, patch: int = 8, size: int = 64) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.ModuleList(Block(width, 4, 2 * width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, 64, 64) to (n, 65, 64) tokens, the first of them the class token."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        normed: torch.Tensor = self.norm(tokens)
        return normed


_MODULES: dict[str, type[nn.Module]] = {"seeded_cnn": SeededCnn, "seeded_vit": SeededVit}


def seeded_cnn() -> Network:
    """A small convolutional net with seeded random weights; it responds to colour, brightness and edges."""
    taps = ("stage1", "stage2", "stage3", "stage4")
    return _network("seeded_cnn", Preprocessing(96, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)), taps)


def seeded_vit() -> Network:
    """A small vision transformer with seeded random weights, to try out networks of tokens."""
    taps = ("blocks.0", "blocks.1", "blocks.2", "norm")
    return _network("seeded_vit", Preprocessing(64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)), taps, 1)


def _network(
    name: str, preprocessing: Preprocessing, taps: tuple[str, ...], prefix_tokens: int | None = None
) -> Network:
    module = _MODULES[name]()
    path, known = built_in_weights(name), KNOWN[name]
    module.load_state_dict(load_file(path))
    digest = digest_of_files([path])
    identity = (digest, f"{name}/1", known.licence, known.summary)
    return Network(name, module, preprocessing, taps, *identity, prefix_tokens=prefix_tokens)


def write_weights(folder: Path, seed: int = 20_230_621) -> None:
    """Write both files: He-normal weights in float16 precision, zero biases, unit norms."""
    for name, build in _MODULES.items():
        generator = torch.Generator().manual_seed(seed)
        state = build().state_dict()
        for key, tensor in state.items():
            if "norm" in key or key.endswith("bias"):
                continue
            fan_in = tensor[0].numel() if tensor.ndim > 1 and "positions" not in key and key != "cls" else 4
            gain = 2.0 if name == "seeded_cnn" else 1.0
            values = torch.randn(tensor.shape, generator=generator) * (gain / fan_in) ** 0.5
            state[key] = values.half().float()
        save_file(state, folder / f"{name}.safetensors")


if __name__ == "__main__":
    write_weights(Path(__file__).parents[1] / "weights")
