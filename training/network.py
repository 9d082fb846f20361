"""The network in training: the embedded architecture with batch normalisation, and heads that are not shipped."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from dna_pipelines.extraction.networks.formula_net import WIDTHS, FormulaNet
from training.palettes import N_PALETTES
from training.views import N_TRAITS, Views

_SUPERVISED = (1, 2, 3)
"""Stages besides the last that also predict the class: a DNA uses every layer, not only the last."""

_WEIGHT_EARLY, _WEIGHT_PALETTE, _WEIGHT_TRAITS = 0.3, 0.3, 0.5


class Learner(nn.Module):
    """The body with one normalisation after every convolution, and its heads.

    The heads predict three things from the same features: the formula (in any palette), the palette (on any
    formula), and how blurred, noisy, bright and colourful the image is. Trained on the first alone, the network would
    become blind to the other two, and those are what drifts.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.body = FormulaNet()
        _normalise(self.body)
        self.early = nn.ModuleList(nn.Linear(WIDTHS[stage], n_classes) for stage in _SUPERVISED)
        self.formula = nn.Linear(WIDTHS[-1], n_classes)
        self.palette = nn.Linear(WIDTHS[-1], N_PALETTES)
        self.traits = nn.Linear(WIDTHS[-1], N_TRAITS)

    def losses(self, views: Views, label: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of a batch, and its accuracy: fractions of right formulas and palettes, error of the traits."""
        stages = self.body.stages(((views.images - 0.5) / 0.25).contiguous(memory_format=torch.channels_last))
        pooled = [stage.mean((2, 3)) for stage in stages]
        cross_entropy, smoothing = nn.functional.cross_entropy, 0.1
        formula, palette, traits = self.formula(pooled[-1]), self.palette(pooled[-1]), self.traits(pooled[-1])
        loss = cross_entropy(formula, label, label_smoothing=smoothing)
        for head, stage in zip(self.early, _SUPERVISED, strict=True):
            loss = loss + _WEIGHT_EARLY * cross_entropy(head(pooled[stage]), label, label_smoothing=smoothing)
        loss = loss + _WEIGHT_PALETTE * cross_entropy(palette, views.palette)
        error = (traits - views.traits).square().mean()
        loss = loss + _WEIGHT_TRAITS * error
        known = views.palette >= 0
        measured = {
            "formula": (formula.argmax(1) == label).float().mean(),
            "palette": (palette.argmax(1) == views.palette)[known].float().mean(),
            "traits": error.detach(),
        }
        return loss, measured


def folded(body: FormulaNet) -> FormulaNet:
    """The body that is shipped: every normalisation is folded into its convolution, in float64."""
    plain = FormulaNet()
    _fold(body.eval(), plain)
    return plain.eval().requires_grad_(requires_grad=False)


def _normalise(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            conv = nn.Conv2d(
                child.in_channels, child.out_channels, child.kernel_size, child.stride, child.padding, bias=False
            )
            nn.init.kaiming_normal_(conv.weight, mode="fan_out")
            setattr(module, name, nn.Sequential(conv, nn.BatchNorm2d(child.out_channels)))
        else:
            _normalise(child)


def _fold(learnt: nn.Module, plain: nn.Module) -> None:
    for name, child in learnt.named_children():
        if isinstance(child, nn.Sequential):
            conv, norm = child
            fused = fuse_conv_bn_eval(conv.double(), norm.double())
            getattr(plain, name).load_state_dict({key: value.float() for key, value in fused.state_dict().items()})
            child.float()
        else:
            _fold(child, getattr(plain, name))
