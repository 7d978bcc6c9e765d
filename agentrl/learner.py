"""The learner: annotate (old, ref), then forward, dot product, backward, step.

    loss = (weight * token_loss).sum() + (weight * penalty).sum()

Weights are made once for a whole optimiser step, before it is split, so every split into
micro-batches or ranks gives the same gradient. `accelerate` is the only thing that knows devices,
precision and processes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from accelerate import Accelerator

from agentrl.algorithms.base import Algorithm
from agentrl.annotate import annotate
from agentrl.companions import adapter_off, reference_model, teacher_model, value_head
from agentrl.errors import ConfigError, PolicyError
from agentrl.gap import GapAlarm, gap_metrics
from agentrl.layouts import LAYOUTS
from agentrl.layouts.base import Batch, Layout, Rows
from agentrl.schedules import lr_shape
from agentrl.table import Table, View, build_table
from agentrl.types import Episode, Floats, Group

Metrics = dict[str, float]


class Learner:
    """Owns the optimiser and changes the weights; the only part of the line that does."""

    def __init__(
        self,
        model: Any,
        algorithm: Algorithm,
        horizon: int,
        temperature: float = 1.0,
        models: Mapping[str, Any] | None = None,
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
        layout: Literal["padded", "packed", "tree"] = "padded",
        head_chunk: int = 0,
        layer_chunk: int = 0,
        gap_warn: float = 0.05,
        gap_stop: float = 0.0,
        teacher: str = "",
    ) -> None:
        self.decode: Callable[[int], str] | None = None
        self.algorithm = algorithm
        self.temperature = temperature
        self.max_grad_norm = max_grad_norm
        self.epochs = epochs
        self.minibatches = minibatches
        self.token_budget = token_budget
        self.alarm = GapAlarm(warn=gap_warn, stop=gap_stop)
        self.layout: Layout = LAYOUTS[layout](head_chunk=head_chunk, layer_chunk=layer_chunk)
        self.accelerator = one_process(Accelerator(mixed_precision=precision))
        if gradient_checkpointing:
            model.gradient_checkpointing_enable()
        self.layout.check(model)
        self.reference = reference_model(model) if "ref" in algorithm.needs else None
        if self.reference is not None:
            self.reference.to(self.accelerator.device)
        taught = "teacher" in algorithm.needs
        self.teacher = teacher_model(teacher, models or {}) if taught else None
        if self.teacher is not None:
            self.teacher.to(self.accelerator.device)
        self.value_head = value_head(model) if "value" in algorithm.needs else None
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if self.value_head is not None:
            self.trained += self.value_head.to(self.accelerator.device).parameters()
        optimizer = torch.optim.AdamW(self.trained, lr=lr, betas=betas, weight_decay=weight_decay)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.steps = 0
        shape = lr_shape(schedule, warmup_steps, horizon)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, shape)

    @property
    def on_policy(self) -> bool:
        """One step per batch: `old` is then the live log-prob itself, without a pass of its own."""
        return self.epochs * self.minibatches == 1 and "old" not in self.algorithm.needs

    def annotate(self, table: Table) -> Table:
        """Make the columns that the algorithm's parts need, without gradient."""
        return annotate(self, table)

    def score(self, episodes: Sequence[Episode]) -> list[Floats]:
        """Log-probs of the episodes' sampled tokens under the weights of now."""
        groups = [Group(task=episode.task, episodes=(episode,)) for episode in episodes]
        table = build_table(groups)
        logprobs = self.run(table, self.model).logprobs.numpy()
        return [logprobs[(table.group == number).numpy()] for number in range(len(groups))]

    def weigh(self, table: Table) -> Table:
        """The table with what each row weighs in its optimiser step: `weight`, `penalty_weight`."""
        row, weight = torch.arange(len(table)), torch.zeros(2, len(table))
        for part in self._minibatches(table.with_columns(row=row)):
            weighed = self._weighed(part)
            weight[0, part.row], weight[1, part.row] = weighed.weight, weighed.penalty_weight
        return table.with_columns(weight=weight[0], penalty_weight=weight[1])

    def update(self, table: Table) -> Metrics:
        """All optimiser steps on one batch whose `advantage` is set; their metrics' averages.

        Groups without rows are no step; without any row there are no metrics either. What the rows
        weigh is made here, unless `weigh` has.
        """
        table = table.with_columns(old=table.old.clone())
        parts = [self._weighed(part) for part in self._minibatches(table)]
        steps = [self.step(part) for _ in range(self.epochs) for part in parts]
        names = steps[0] if steps else {}
        means = {name: sum(step[name] for step in steps) / len(steps) for name in names}
        return means | gap_metrics(table)

    def step(self, table: Table) -> Metrics:
        """One optimiser step on the whole table, in micro-batches; on policy it fills in `old`.

        Raises:
            PolicyError: no finite gradient, or a gap above `gap_stop`; the weights are untouched.
        """
        metrics: defaultdict[str, float] = defaultdict(float)
        self.model.train()
        for loss, logs in self._losses(table):
            self.accelerator.backward(loss)
            metrics["learner/loss"] += float(loss.detach())
            for name, value in logs.items():
                metrics[f"learner/{name}"] += value
        norm = self.accelerator.clip_grad_norm_(self.trained, self.max_grad_norm)
        metrics["learner/grad_norm"] = float(norm)
        refusal = self.alarm.refusal(table)
        if not math.isfinite(metrics["learner/grad_norm"]):
            refusal = f"the gradient's norm is {float(norm)}: lower learner.lr"
        if refusal:
            self.optimizer.zero_grad(set_to_none=True)
            raise PolicyError(f"{refusal}; the weights are untouched")
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        if self.algorithm.reference is not None and self.reference is not None:
            self.algorithm.reference(self.reference, self.model, self.steps)
        metrics["learner/lr"] = float(self.scheduler.get_last_lr()[0])
        return dict(metrics)

    def losses(self, table: Table) -> Iterator[tuple[torch.Tensor, Metrics]]:
        """The step's loss, micro-batch by micro-batch: the sum is the same for every split."""
        return self._losses(table.with_columns(old=table.old.clone()))

    def _losses(self, table: Table) -> Iterator[tuple[torch.Tensor, Metrics]]:
        table, early = self._prepare(self._weighed(table))
        for batch in self.layout.batches(table, self.token_budget):
            loss, logs = self._loss(table, batch)
            yield loss, {**early, **logs}
            early = {}

    def _weighed(self, table: Table) -> Table:
        """One optimiser step's table with its weights; as it is if it has them."""
        if "penalty_weight" in table.columns:
            return table
        weight, own = self.algorithm.weighting(table).float(), self.algorithm.penalty_weighting
        penalty = weight if own is None else own(table).float()
        return table.with_columns(weight=weight, penalty_weight=penalty)

    def _prepare(self, table: Table) -> tuple[Table, Metrics]:
        """Coefficients that need the whole step: one pass without gradient, if a part asks."""
        parts = [part for part in self.algorithm.live_parts if part.prepare is not None]
        if not parts:
            return table, {}
        found = self.run(table, self.model, entropy=self.algorithm.wants_live_entropy)
        everything = torch.arange(len(table))
        if self.on_policy:
            table.columns["old"].copy_(self._old(table, everything, found.logprobs))
        view = View(table, everything, *found)
        for part in parts:
            table = table.with_columns(**part.prepare(view))  # type: ignore[misc]
        return table, weighted_means(table, view)

    def _loss(self, table: Table, batch: Batch) -> tuple[torch.Tensor, Metrics]:
        with self.accelerator.autocast():  # a layout may run parts of the model itself
            found = self.layout.forward(
                self.model,
                batch,
                temperature=self.temperature,
                entropy=self.algorithm.wants_live_entropy,
                head=self.value_head,
            )
        if self.on_policy:
            live = found.logprobs.detach().cpu()
            table.columns["old"][batch.rows] = self._old(table, batch.rows, live)
        view = View(table, batch.rows, *found)
        loss = (view.weight * self.algorithm.loss(view)).sum()
        if self.algorithm.live_penalty is not None:
            loss = loss + (view.penalty_weight * self.algorithm.live_penalty(view)).sum()
        view.log("gap", (view.old - view.behaviour).abs())
        return loss, weighted_means(table, view)

    def _old(self, table: Table, rows: torch.Tensor, logprobs: torch.Tensor) -> torch.Tensor:
        """The ratio's denominator: the policy before the step, or whoever sampled the row."""
        elsewhere = table.columns["off_policy"][rows] > 0
        return torch.where(elsewhere, table.columns["behaviour"][rows], logprobs)

    @torch.no_grad()
    def run(
        self,
        table: Table,
        model: Any,
        *,
        entropy: bool = False,
        values: bool = False,
        temperature: float | None = None,
    ) -> Rows:
        """What a model says of every row `[M]`, without gradient, on the CPU."""
        training = model.training
        model.eval()
        columns = [torch.zeros(len(table)) for _ in Rows._fields]
        with self.accelerator.autocast():  # the reference is not prepared
            for batch in self.layout.batches(table, self.token_budget):
                found = self.layout.forward(
                    model,
                    batch,
                    temperature=temperature or self.temperature,
                    entropy=entropy,
                    head=self.value_head if values else None,
                )
                for column, part in zip(columns, found, strict=True):
                    if part is not None:
                        column[batch.rows] = part.cpu()
        model.train(training)
        wanted = (True, entropy, values)
        return Rows(*(c if w else None for c, w in zip(columns, wanted, strict=True)))  # type: ignore[arg-type]

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

    def reference_policy(self) -> AbstractContextManager[Any]:
        """The reference model, while it is needed."""
        if self.reference is not None:
            return nullcontext(self.reference)
        return adapter_off(self.accelerator.unwrap_model(self.model))

    def state_dict(self) -> dict[str, Any]:
        """Optimiser, schedule and reference; the weights are saved as a model folder beside it."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "reference": None if self.reference is None else self.reference.state_dict(),
            "value_head": None if self.value_head is None else self.value_head.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.reference is not None:  # without this, resuming would make it the saved weights
            self.reference.load_state_dict(state["reference"])
        if self.value_head is not None:
            self.value_head.load_state_dict(state["value_head"])
        self.steps = state["steps"]


def one_process(accelerator: Accelerator) -> Accelerator:
    """The accelerator, if it is alone. Raises: ConfigError."""
    if accelerator.num_processes > 1:
        raise ConfigError(
            f"{accelerator.num_processes} processes: this version trains in one; start it without "
            "`accelerate launch`"
        )
    return accelerator


def weighted_means(table: Table, view: View) -> Metrics:
    """What a view logged, each as its rows' share of the step's weighted mean."""
    share = view.weight.abs() / table.weight.abs().sum().clamp(min=1e-30).to(view.weight.device)
    return {name: float((share * values).sum()) for name, values in view.logs.items()}
