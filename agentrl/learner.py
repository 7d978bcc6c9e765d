"""The learner: annotate (old, ref), then forward, dot product, backward, step.

    loss = (weight * token_loss).sum() + (weight * penalty).sum()

Weights are made once for a whole optimiser step, before it is split, so every split into
micro-batches or ranks gives the same gradient. `accelerate` is the only thing that knows devices,
precision and processes.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from accelerate import Accelerator

from agentrl.algorithms.base import Algorithm
from agentrl.errors import ConfigError, PolicyError
from agentrl.layouts.padded import MicroBatch, forward, micro_batches
from agentrl.table import Table, View

Metrics = dict[str, float]


class Learner:
    """Owns the optimiser and changes the weights; the only part of the line that does."""

    def __init__(
        self,
        model: Any,
        algorithm: Algorithm,
        horizon: int,
        temperature: float = 1.0,
        *,
        lr: float = 1e-6,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        schedule: Literal["constant", "linear", "cosine"] = "constant",
        max_grad_norm: float = 1.0,
        epochs: int = 1,
        minibatches: int = 1,
        token_budget: int = 16384,
        precision: Literal["no", "bf16"] = "no",
        gradient_checkpointing: bool = False,
    ) -> None:
        self.algorithm = algorithm
        self.temperature = temperature
        self.max_grad_norm = max_grad_norm
        self.epochs = epochs
        self.minibatches = minibatches
        self.token_budget = token_budget
        self.accelerator = one_process(Accelerator(mixed_precision=precision))
        if gradient_checkpointing:
            model.gradient_checkpointing_enable()
        self.reference = reference_model(model) if "ref" in algorithm.needs else None
        if self.reference is not None:
            self.reference.to(self.accelerator.device)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=lr, betas=betas, weight_decay=weight_decay)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        shape = lr_shape(schedule, warmup_steps, horizon)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, shape)

    @property
    def on_policy(self) -> bool:
        """One step per batch: `old` is then the live log-prob itself, without a pass of its own."""
        return self.epochs * self.minibatches == 1 and "old" not in self.algorithm.needs

    def annotate(self, table: Table) -> Table:
        """Make the columns that the algorithm's live parts need, without gradient."""
        columns = {}
        wants_entropy = "entropy" in self.algorithm.needs
        if not self.on_policy or wants_entropy:
            columns["old"], entropy = self._pass(table, self.model, entropy=wants_entropy)
            if entropy is not None:
                columns["entropy"] = entropy
        if "ref" in self.algorithm.needs:
            with self._reference() as model:
                columns["ref"], _ = self._pass(table, model)
        return table.with_columns(**columns)

    def update(self, table: Table) -> Metrics:
        """All optimiser steps on one batch whose `advantage` is set; their metrics' averages.

        Groups without rows are no step; without any row there are no metrics either.
        """
        steps = []
        for _ in range(self.epochs):
            for part in self._minibatches(table):
                steps.append(self.step(part))
        names = steps[0] if steps else {}
        return {name: sum(step[name] for step in steps) / len(steps) for name in names}

    def step(self, table: Table) -> Metrics:
        """One optimiser step on the whole table, in micro-batches."""
        metrics: defaultdict[str, float] = defaultdict(float)
        self.model.train()
        for loss, logs in self.losses(table):
            self.accelerator.backward(loss)
            metrics["learner/loss"] += float(loss.detach())
            for name, value in logs.items():
                metrics[f"learner/{name}"] += value
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        metrics["learner/grad_norm"] = float(norm)
        if not math.isfinite(metrics["learner/grad_norm"]):
            self.optimizer.zero_grad(set_to_none=True)
            raise PolicyError(
                f"the gradient's norm is {float(norm)}: the weights are untouched; lower learner.lr"
            )
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        metrics["learner/lr"] = float(self.scheduler.get_last_lr()[0])
        return dict(metrics)

    def losses(self, table: Table) -> Iterator[tuple[torch.Tensor, Metrics]]:
        """The step's loss, micro-batch by micro-batch: the sum is the same for every split."""
        table = table.with_columns(weight=self.algorithm.weighting(table), old=table.old.clone())
        for batch in micro_batches(table, self.token_budget):
            yield self._loss(table, batch)

    def _loss(self, table: Table, batch: MicroBatch) -> tuple[torch.Tensor, Metrics]:
        wanted = self.algorithm.wants_live_entropy
        logprobs, entropy = forward(self.model, batch, temperature=self.temperature, entropy=wanted)
        if self.on_policy:
            table.columns["old"][batch.rows] = logprobs.detach().cpu()
        view = View(table, batch.rows, logprobs, entropy)
        terms = torch.stack([part(view) for part in self.algorithm.live_parts]).sum(0)
        gap = (view.old - view.behaviour).abs()
        view.log("gap", gap)
        share = view.weight.abs() / table.weight.abs().sum().clamp(min=1e-30).to(view.weight.device)
        logs = {name: float((share * values).sum()) for name, values in view.logs.items()}
        return (view.weight * terms).sum(), logs

    def _pass(
        self, table: Table, model: Any, *, entropy: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Log-probs (and entropies) of every row without gradient, `[M]`."""
        logprobs, entropies = torch.zeros(len(table)), torch.zeros(len(table))
        model.eval()
        with torch.no_grad(), self.accelerator.autocast():  # the reference is not prepared
            for batch in micro_batches(table, self.token_budget):
                values, spread = forward(
                    model, batch, temperature=self.temperature, entropy=entropy
                )
                logprobs[batch.rows] = values.cpu()
                if spread is not None:
                    entropies[batch.rows] = spread.cpu()
        return logprobs, entropies if entropy else None

    def _minibatches(self, table: Table) -> Iterator[Table]:
        """The table in `minibatches` parts of whole groups."""
        order = torch.arange(table.num_groups)
        for chosen in torch.tensor_split(order, min(self.minibatches, max(1, table.num_groups))):
            part = (
                table.select_groups(torch.isin(order, chosen))
                if len(chosen) < len(order)
                else table
            )
            if len(part):
                yield part

    def _reference(self) -> AbstractContextManager[Any]:
        if self.reference is not None:
            return nullcontext(self.reference)
        return adapter_off(self.accelerator.unwrap_model(self.model))

    def state_dict(self) -> dict[str, Any]:
        """Optimiser, schedule and reference; the weights are saved as a model folder beside it."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "reference": None if self.reference is None else self.reference.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.reference is not None:  # without this, resuming would make it the saved weights
            self.reference.load_state_dict(state["reference"])


def one_process(accelerator: Accelerator) -> Accelerator:
    """The accelerator, if it is alone. Raises: ConfigError."""
    if accelerator.num_processes > 1:
        raise ConfigError(
            f"{accelerator.num_processes} processes: this version trains in one; start it without "
            "`accelerate launch`"
        )
    return accelerator


def reference_model(model: Any) -> Any:
    """A frozen copy of the model, or None for a LoRA model: its own base is the reference."""
    if hasattr(model, "disable_adapter"):
        return None
    return copy.deepcopy(model).requires_grad_(False).eval()


class adapter_off:  # noqa: N801 - a context manager, named like one
    """A LoRA model with its adapters switched off."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __enter__(self) -> Any:
        self._off = self.model.disable_adapter()
        self._off.__enter__()
        return self.model

    def __exit__(self, *error: Any) -> None:
        self._off.__exit__(*error)


def lr_shape(schedule: str, warmup: int, horizon: int) -> Any:
    """The learning rate's factor at each optimiser step."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, horizon - warmup))
        return {
            "constant": 1.0,
            "linear": 1.0 - progress,
            "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        }[schedule]

    return factor
