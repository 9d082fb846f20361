"""Checkpoints of a training: weights, momentum and the step, in one safetensors file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from training.plan import Plan


class OtherPlan(Exception):
    """The folder holds a training of another plan.

    Attributes:
        differences: the values that differ: those of the folder's plan and of the plan that was asked for.
    """

    def __init__(self, path: Path, step: int, differences: dict[str, tuple[Any, Any]]) -> None:
        differ = ", ".join(f"{key} is {there}, not {here}" for key, (there, here) in differences.items())
        super().__init__(f"{path} is at step {step} of another plan ({differ}); use another folder, or the same plan")
        self.differences = differences


def save(
    path: Path, learner: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, step: int, spent_s: float
) -> None:
    """Replace the checkpoint; a reader sees either the old one or the new one."""
    tensors = {f"weights/{key}": value for key, value in learner.state_dict().items()}
    for name, parameter in learner.named_parameters():
        if (momentum := optimizer.state[parameter].get("momentum_buffer")) is not None:
            tensors[f"momentum/{name}"] = momentum
    part = path.with_suffix(".part")
    facts = {"plan": json.dumps(plan.to_json()), "step": str(step), "spent_s": str(spent_s)}
    save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, part, facts)
    os.replace(part, path)


def load(path: Path, learner: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan) -> tuple[int, float]:
    """Load a checkpoint into the network and the optimizer.

    Returns:
        The number of steps done, and the seconds they took.

    Raises:
        OtherPlan: when the checkpoint belongs to another plan.
    """
    saved_plan, step, spent_s = read_facts(path)
    if not plan.may_resume(saved_plan, step):
        there, here = saved_plan.to_json(), plan.to_json()
        raise OtherPlan(path, step, {key: (there[key], here[key]) for key in here if there[key] != here[key]})
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    learner.load_state_dict(
        {key.removeprefix("weights/"): value for key, value in tensors.items() if "weights/" in key}
    )
    for name, parameter in learner.named_parameters():
        if (momentum := tensors.get(f"momentum/{name}")) is not None:
            # Laid out like the parameter, as the optimizer creates it; otherwise the next bits would differ.
            optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum)
    return step, spent_s


def read_facts(path: Path) -> tuple[Plan, int, float]:
    """The plan, the number of steps done and the seconds they took."""
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    return Plan(**json.loads(facts["plan"])), int(facts["step"]), float(facts["spent_s"])
