"""The loop: the straight line and nothing else.

sample tasks -> roll out groups -> credit -> drop groups without signal -> weights -> steps
-> publish -> evaluate -> checkpoint
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console

from agentrl.algorithms.base import Algorithm
from agentrl.attribution import credit_metrics
from agentrl.checkpoint import checkpoints, load_state, save_checkpoint, set_aside, writable
from agentrl.config import Run
from agentrl.errors import DataError, PolicyError, ToolError, boundary
from agentrl.evaluate import by_kind, mean, mean_parts
from agentrl.journal import folder
from agentrl.learner import Learner, Metrics
from agentrl.protocols import Strategy
from agentrl.record import Recorder
from agentrl.report import Report
from agentrl.session import Session
from agentrl.strategies import independent
from agentrl.table import Table, build_table
from agentrl.types import Group, Status, Task


def run_training(
    run: Run, *, resume: bool = False, console: Console | None = None
) -> dict[str, Any]:
    """Warm start -> evaluation -> steps -> evaluation; returns what `summary.json` holds.

    Raises:
        AgentRLError: whatever cannot go on; complete checkpoints stay.
    """
    console, out = console or Console(), Path(run.out)
    writable(out)
    place = run.journal()
    folder.reachable(place)
    saved = checkpoints(out)
    if resume and not saved:
        raise DataError(f"out={str(out)!r} holds no complete checkpoint: start without --resume")
    checkpoint = saved[-1] if resume else None
    state = None if checkpoint is None else load_state(checkpoint)
    with Session(run, None if checkpoint is None else str(checkpoint)) as session:
        earlier = set_aside(out) if checkpoint is None else None
        if earlier is not None:
            console.print(f"the earlier run is now {earlier}", highlight=False, soft_wrap=True)
        report = Report(run)
        out.mkdir(parents=True, exist_ok=True)
        journal = folder.start(place, out, run.resolved(), state)
        if journal.notice:
            console.print(journal.notice, highlight=False, soft_wrap=True)
        resumed = None if state is None else state["step"]
        with Recorder(out, console, journal.writer, resumed) as record:
            (out / "run.yaml").write_text(yaml.safe_dump(run.resolved(), sort_keys=False))
            if state is None:
                warm_up(session, record, report)
            trainer = Trainer(session, record, report)
            trainer.start(checkpoint, state)
            while trainer.step < session.schedule.steps:
                trainer.advance()
            report.look("after", session)
        return report.write(out, console, trainer.checkpoint)


def warm_up(session: Session, record: Recorder, report: Report) -> None:
    """Imitate the expert, if the run says so, and measure where that leads."""
    warm = session.run.warm_start
    if warm is not None:
        with report.timed("warm_start"):
            record.begin("warm start", warm.settings["steps"])
            precision = session.run.learner.settings["precision"]
            warm(session.model, session.demonstrations, session.run.seed, record.step, precision)
            session.policy.load()
            session.ensemble.begin()
    report.look("before", session)


class Trainer:
    """The state that steps carry on: learner, sampler and the number of steps done."""

    def __init__(self, session: Session, record: Recorder, report: Report) -> None:
        run = session.run
        self.session = session
        self.record = record
        self.report = report
        self.algorithm: Algorithm = run.algorithm.started(session.train_tasks, run.seed)
        session.tested = tested_as(self.algorithm)
        settings = run.learner.settings
        horizon = session.schedule.steps * settings["epochs"] * settings["minibatches"]
        temperature = session.plan.temperature
        self.learner: Learner = run.learner(session.model, self.algorithm, horizon, temperature)
        self.learner.decode = session.token_text
        self.learner.alarm.run = run.out
        self.step = 0
        self.checkpoint: Path | None = None

    def start(self, checkpoint: Path | None, state: dict[str, Any] | None) -> None:
        """Begin at step 0, or go on from a checkpoint. Raises: DataError if it is another run's."""
        if state is None:
            self.save()
        else:
            with boundary(DataError, f"{checkpoint} was made with other settings, repeat those"):
                self.learner.load_state_dict(state["learner"])
                self.algorithm.load_state_dict(state["algorithm"])
                self.report.load_state_dict(state["report"])
            self.session.policy.load(version=state["version"])
            self.step, self.checkpoint = state["step"], checkpoint
        self.record.begin("train", self.session.schedule.steps)

    def advance(self) -> None:
        """One step of the line, and what follows from its number."""
        started = time.perf_counter()
        groups, refused = self.collect()
        played = time.perf_counter()
        metrics = describe([*groups, *refused], played - started, self.session.env.kind)
        metrics["train/groups_refused"] = float(len(refused))
        metrics |= self.learn(groups)
        learned = time.perf_counter()
        schedule = self.session.schedule
        done = self.step + 1
        if schedule.eval_every and done % schedule.eval_every == 0:
            metrics["eval/success"] = self.report.peek(self.session, done)
        self.report.account(self.step, metrics, played - started, learned - played)
        self.record.step(self.step, metrics)
        self.record.warn(self.learner.alarm.line(metrics))
        self.step = done
        if done % schedule.checkpoint_every == 0 or done == schedule.steps:
            self.save()

    def collect(self) -> tuple[list[Group], list[Group]]:
        """Play until `plan.tasks` groups are kept or the refills run out: kept and refused."""
        plan, algorithm = self.session.plan, self.algorithm
        kept: list[Group] = []
        refused: list[Group] = []
        for round in range(1 + plan.refills):
            choices = algorithm.sampler.live.choose(plan.tasks - len(kept), plan.attempts)
            groups = self.session.sample(choices, self.step, round, algorithm.strategy)
            self.record.groups(self.step, groups)
            self.record.choices(self.step, choices, groups)
            if algorithm.shape is not None:
                groups = algorithm.shape(groups)
            algorithm.sampler.live.observe(groups, self.learner.score)
            for group in groups:
                live = algorithm.keep is None or algorithm.keep(group)
                (kept if live else refused).append(group)
            if len(kept) >= plan.tasks:
                break
        check_played([*kept, *refused])
        return kept, refused

    def learn(self, groups: Sequence[Group]) -> Metrics:
        """Credit, drop what teaches nothing, update, publish."""
        started = time.perf_counter()
        self.session.policy.rest()
        table = build_table(groups)
        early = bool(self.algorithm.advantage.needs)
        if early:
            table = self.learner.annotate(table)
        table = self.algorithm.credit(table, groups)
        signal = has_signal(table, self.algorithm)
        live = table if bool(signal.all()) else table.select_groups(signal)
        if len(live) and not early:
            live = self.learner.annotate(live)
        weight = torch.zeros(len(table))
        weight[signal[table.group]] = self.learner.weights(live)
        self.record.credits(self.step, table, groups, weight)
        metrics = {
            **credit_metrics(table),
            "train/live_groups": live.num_groups / max(1, table.num_groups),
            "train/forks": max(0, table.count("sample") / max(1, table.count("trajectory")) - 1),
        }
        if len(live) == 0:
            return metrics
        metrics |= self.learner.update(live)
        self.session.policy.load()
        metrics |= self.session.policy.figures
        read = sum(len(sample.ids) for sample in live.samples)
        return metrics | {"speed/training": read / (time.perf_counter() - started)}

    def save(self) -> None:
        """Write a checkpoint of the steps done."""
        state = {
            "learner": self.learner.state_dict(),
            "algorithm": self.algorithm.state_dict(),
            "report": self.report.state_dict(),
            "version": self.session.policy.version,
            "journal": {"run": self.record.writer.run, "life": self.record.writer.life},
        }
        self.checkpoint = save_checkpoint(
            Path(self.session.run.out), self.step, self.session, state
        )


def check_played(groups: Sequence[Group]) -> None:
    """See that something was played at all.

    Raises:
        PolicyError: the policy failed in every episode; the message says what it died of.
        ToolError: the tools did, or the program that the agent is.
    """
    played = [episode.main for group in groups for episode in group.episodes]
    kinds = (
        (Status.POLICY_FAILED, PolicyError, "the policy"),
        (Status.TOOL_FAILED, ToolError, "a tool"),
    )
    for status, kind, name in kinds:
        if played and all(episode.status is status for episode in played):
            raise kind(
                f"{name} failed in all {len(played)} episodes of the step, so the run stops: "
                f"{played[0].error}"
            )


def tested_as(algorithm: Algorithm) -> Strategy:
    """How evaluations play: plainly, unless the strategy's memory is what was trained."""
    strategy: Strategy = getattr(algorithm.strategy.live, "attempted", independent)
    return strategy


def has_signal(table: Table, algorithm: Algorithm) -> torch.Tensor:
    """Which groups' final credit is not zero everywhere `[groups]`; all if another term trains.

    Such a term is a live penalty, or a loss that says so (`every_group`).
    """
    others = algorithm.live_penalty is not None or hasattr(algorithm.loss.function, "every_group")
    if others or len(table) == 0:
        return torch.ones(table.num_groups, dtype=torch.bool)
    credit = (table.advantage != 0).long()
    signal = torch.zeros(table.num_groups, dtype=torch.long).index_add(0, table.group, credit)
    return signal > 0


def describe(
    groups: Sequence[Group], seconds: float, kind: Callable[[Task], str] | None = None
) -> Metrics:
    """What was played: outcomes, lengths, endings, speeds; `kind` tells tasks apart."""
    played = [episode for group in groups for episode in group.episodes]
    episodes = [episode.main for episode in played]
    own = [e.main for e in played if not e.hint and not e.main.status.failed]
    live = [episode for episode in episodes if not episode.status.failed]
    turns = [turn for episode in live for turn in episode.turns]
    tokens = sum(len(turn.completion.ids) for turn in turns)
    surprise = -sum(float(turn.completion.logprobs.sum()) for turn in turns)
    cut = sum(turn.completion.finish.value == "length" for turn in turns)
    inside = sum(episode.env_seconds for episode in episodes)
    count = max(1, len(live))
    return {
        "train/success": sum(episode.success for episode in own) / max(1, len(own)),
        "train/hinted": (len(live) - len(own)) / count,
        "train/reward": sum(episode.reward for episode in live) / count,
        "train/entropy": surprise / max(1, tokens),
        "train/turns": len(turns) / count,
        "train/tokens": tokens / count,
        "train/truncated": sum(episode.status.truncated for episode in live) / count,
        "train/turns_cut": cut / max(1, len(turns)),
        "train/failed_episodes": float(len(episodes) - len(live)),
        "speed/generation": tokens / seconds,
        "speed/environment": len(turns) / max(1e-9, inside),
        **{f"part/{name}": value for name, value in mean_parts(live).items()},
        **of_kinds(groups, kind),
    }


def of_kinds(groups: Sequence[Group], kind: Callable[[Task], str] | None) -> Metrics:
    """Success, reward and episodes of every kind of task."""
    metrics: Metrics = {}
    for name, (_, episodes) in by_kind(groups, kind).items():
        own = [episode.main for episode in episodes if not episode.hint]
        metrics[f"kind/{name}/success"] = mean([trajectory.success for trajectory in own])
        metrics[f"kind/{name}/reward"] = mean([trajectory.reward for trajectory in own])
        metrics[f"kind/{name}/episodes"] = float(len(episodes))
    return metrics
