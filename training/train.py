"""The training loop: from the step of the checkpoint to the last one."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training import checkpoint
from training.fields import kept_fields
from training.network import Learner
from training.palettes import labelled_palettes
from training.plan import Plan
from training.views import look

CHECKPOINT = "checkpoint.safetensors"

_LOG = "log.csv"


def learner_of(plan: Plan) -> Learner:
    """The network before its first step."""
    torch.manual_seed(plan.seed)
    return Learner(plan.n_classes).to(memory_format=torch.channels_last)


def optimizer_of(learner: Learner, plan: Plan) -> torch.optim.Optimizer:
    """Stochastic gradient descent; weights decay, biases and normalisations do not."""
    groups = [
        {"params": [p for p in learner.parameters() if (p.ndim > 1) == decays], "weight_decay": plan.decay * decays}
        for decays in (True, False)
    ]
    return torch.optim.SGD(groups, lr=plan.peak, momentum=plan.momentum, nesterov=True)


def train(
    plan: Plan,
    folder: Path,
    *,
    device: str = "cpu",
    threads: int = 2,
    save_every_s: float = 180,
    stop_after: int | None = None,
) -> Learner:
    """Train, or continue the training in `folder`; an interruption keeps the last step.

    Args:
        plan: the numbers that determine the result.
        folder: of fields, checkpoint and log.
        device: `cpu` or `cuda`.
        threads: of the processor; another number gives other last bits.
        save_every_s: seconds between checkpoints.
        stop_after: the step after which to stop, as if interrupted.

    Returns:
        The network after the last step.

    Raises:
        OtherPlan: when the folder holds a training of another plan.
        KeyboardInterrupt: after the checkpoint is written.
    """
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    fields = kept_fields(folder, plan.n_classes, plan.n_fields, plan.seed, threads)
    learner = learner_of(plan).to(device).train()
    optimizer = optimizer_of(learner, plan)
    path = folder / CHECKPOINT
    step, spent = checkpoint.load(path, learner, optimizer, plan) if path.exists() else (0, 0.0)
    began = saved = time.monotonic()
    end = plan.n_steps if stop_after is None else min(stop_after, plan.n_steps)
    palettes = labelled_palettes(plan.seed)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[values]}"),
    )
    with Progress(*columns) as progress, (folder / _LOG).open("a", newline="") as file:
        task, log = progress.add_task("", total=plan.n_steps, completed=step, values=""), csv.writer(file)
        try:
            while step < end:
                measured = _step(plan, step, learner, optimizer, fields, palettes, device)
                step += 1
                if step % 20 == 0:
                    values = {key: float(value) for key, value in measured.items()}
                    log.writerow(
                        [step, round(spent + time.monotonic() - began, 1), *(f"{v:.4f}" for v in values.values())]
                    )
                    progress.update(task, values=", ".join(f"{key} {value:.2f}" for key, value in values.items()))
                progress.update(task, completed=step)
                if time.monotonic() - saved > save_every_s:
                    file.flush()
                    checkpoint.save(path, learner, optimizer, plan, step, spent + time.monotonic() - began)
                    saved = time.monotonic()
        finally:
            checkpoint.save(path, learner, optimizer, plan, step, spent + time.monotonic() - began)
    return learner


def _step(
    plan: Plan,
    step: int,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    fields: NDArray[np.uint8],
    palettes: torch.Tensor,
    device: str,
) -> dict[str, torch.Tensor]:
    """Train one batch. Seed and step determine its random numbers, so a training can resume at any step."""
    generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
    label = torch.randint(plan.n_classes, (plan.batch,), generator=generator)
    which = torch.randint(plan.n_fields, (plan.batch,), generator=generator)
    chosen = torch.from_numpy(fields[label.numpy(), which.numpy()]).to(device)
    views = look(chosen, palettes, plan.size_at(step), generator)
    for group in optimizer.param_groups:
        group["lr"] = plan.rate_at(step)
    loss, measured = learner.losses(views, label.to(device))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.detach(), **measured}
