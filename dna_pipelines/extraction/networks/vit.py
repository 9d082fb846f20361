"""Vision transformers: the block, and the transformer of the reference implementation's networks.

Submodules are named like the layers of the reference, so that its activation ranges and DNAs name the same neurons.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Block(nn.Module):
    """A transformer block that normalises first."""

    def __init__(
        self, width: int, heads: int, hidden: int, eps: float = 1e-5, activation: Callable[[], nn.Module] = nn.GELU
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), activation(), nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, tokens, width) to the same."""
        n, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width)
        x = x + self.proj(mixed)
        out: torch.Tensor = x + self.mlp(self.norm2(x))
        return out


class QuickGelu(nn.Module):
    """The approximation of GELU that CLIP was trained with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Elementwise."""
        return x * torch.sigmoid(1.702 * x)


class VisionTransformer(nn.Module):
    """ViT on 16 px patches of 224 px images: `block_0`, `block_1`, …, `last_norm`.

    All tokens are normalised at the end. CLIP's differs: it also normalises before the first block,
    and only the class token after the last.
    """

    def __init__(self, width: int, depth: int, heads: int, *, clip: bool = False, size_px: int = 224) -> None:
        super().__init__()
        eps, activation = (1e-5, QuickGelu) if clip else (1e-6, nn.GELU)
        self.clip = clip
        self.patches = nn.Conv2d(3, width, 16, stride=16, bias=not clip)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, (size_px // 16) ** 2 + 1, width))
        self.first_norm = nn.LayerNorm(width, eps) if clip else nn.Identity()
        self.depth = depth
        for index in range(depth):
            self.add_module(f"block_{index}", Block(width, heads, 4 * width, eps, activation))
        self.last_norm = nn.LayerNorm(width, eps)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, which are those of the reference."""
        return (*(f"block_{index}" for index in range(self.depth)), "last_norm")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, 224, 224) to (n, 197, width) tokens, the class token first; to (n, width) for CLIP."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1) + self.positions
        tokens = self.first_norm(tokens)
        for index in range(self.depth):
            tokens = self.get_submodule(f"block_{index}")(tokens)
        normed: torch.Tensor = self.last_norm(tokens[:, 0] if self.clip else tokens)
        return normed
