"""Trackers: how likely the policy is to solve a task, learnt from what its attempts earned.

Samplers are configured with one and ask it before they choose. All keep numbers by task id, so
their memory is JSON, and all leave out failed attempts and those that were given a hint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from agentrl.protocols import Score
from agentrl.samples import merge
from agentrl.types import (
    Completion,
    Episode,
    Finish,
    Floats,
    Group,
    Source,
    Span,
    Task,
    Trajectory,
    Turn,
)


class Tracker(Protocol):
    """What samplers ask."""

    def predict(self, task: Task) -> float:
        """The chance of success that it believes in; of an unseen task, its prior."""

    def seen(self, task: Task) -> bool:
        """Whether any attempt told of the task."""

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Learn from groups; `score` says what the policy of now makes of earlier answers."""


def own(group: Group) -> list[Episode]:
    """The attempts that tell of the policy: they did not fail and had no help."""
    return [episode for episode in group.live if not episode.hint]


def tally(group: Group) -> tuple[int, int]:
    """Successes among the policy's own attempts, and how many those are."""
    attempts = own(group)
    return sum(episode.main.success for episode in attempts), len(attempts)


class Remembering:
    """What all trackers share: a few numbers per task id."""

    def __init__(self) -> None:
        self.known: dict[str, list[float]] = {}

    def seen(self, task: Task) -> bool:
        """Whether any attempt told of the task."""
        return task.id in self.known

    def state_dict(self) -> dict[str, Any]:
        """The numbers by task id."""
        return {"known": {name: list(numbers) for name, numbers in self.known.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.known = {name: list(numbers) for name, numbers in state["known"].items()}


class MovingAverage(Remembering):
    """The success rate as a moving average over visits; the last visit's rate at `step` 1.

    Formula: v <- v + {step} (rate - v); the first visit sets v, before it {unseen}
    """

    def __init__(self, *, step: float = 1.0, unseen: float = 0.5) -> None:
        super().__init__()
        self.step = step
        self.unseen = unseen

    def predict(self, task: Task) -> float:
        """The average."""
        return self.known.get(task.id, [self.unseen])[0]

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Move towards each group's rate."""
        for group in groups:
            right, total = tally(group)
            if total:
                rate = right / total
                (before,) = self.known.get(group.task.id, [rate])
                self.known[group.task.id] = [(1 - self.step) * before + self.step * rate]


def beta_update(
    alpha: float, beta: float, correct: float, total: float, decay: float = 1.0
) -> tuple[float, float]:
    """Beta counts after `correct` of `total`, the older ones times `decay`."""
    return decay * alpha + correct, decay * beta + total - correct


class BetaCounts(Remembering):
    """Beta counts of right and wrong attempts.

    Formula: (a, b) <- {decay} (a, b) + (right, wrong), from ({alpha}, {beta}); each step all others
    (a, b) <- 1 + {fade} ((a, b) - 1)
    """

    def __init__(
        self, *, alpha: float = 1.0, beta: float = 1.0, decay: float = 1.0, fade: float = 1.0
    ) -> None:
        super().__init__()
        self.prior = [alpha, beta]
        self.decay = decay
        self.fade = fade
        self.step = -1

    def counts(self, task: Task) -> tuple[float, float]:
        """Its a and b."""
        alpha, beta = self.known.get(task.id, self.prior)
        return alpha, beta

    def predict(self, task: Task) -> float:
        """The mean a/(a+b)."""
        alpha, beta = self.counts(task)
        return alpha / (alpha + beta)

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Count, all-right and all-wrong groups too; what a new step does not visit fades."""
        visited = {group.task.id for group in groups}
        newest = max((group.step for group in groups), default=self.step)
        if self.fade < 1 and newest > self.step:
            for name in self.known.keys() - visited:
                self.known[name] = [1 + self.fade * (count - 1) for count in self.known[name]]
        self.step = newest
        for group in groups:
            right, total = tally(group)
            if total:
                known = beta_update(*self.counts(group.task), right, total, self.decay)
                self.known[group.task.id] = list(known)

    def state_dict(self) -> dict[str, Any]:
        """The counts by task id, and the step that was counted last."""
        return {**super().state_dict(), "step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        super().load_state_dict(state)
        self.step = int(state["step"])


class Moments(Remembering):
    """Number, mean and squared deviations of a task's rewards; those before count `decay` as much.

    Formula: n, mean, m2 over all visits, earlier ones times {decay}
    """

    def __init__(self, *, decay: float = 1.0) -> None:
        super().__init__()
        self.decay = decay

    def predict(self, task: Task) -> float:
        """The mean reward; 0.5 of an unseen task."""
        return self.known.get(task.id, [0.0, 0.5])[1]

    def spread(self, task: Task, ddof: int) -> tuple[float, float]:
        """How many rewards it knows and their standard deviation."""
        number, _, squares = self.known.get(task.id, [0.0, 0.0, 0.0])
        return number, math.sqrt(squares / (number - ddof)) if number > ddof else 0.0

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Pool each group's rewards with what is known."""
        for group in groups:
            rewards = np.array([episode.main.reward for episode in own(group)], np.float64)
            if len(rewards):
                number, mean, squares = self.known.get(group.task.id, [0.0, 0.0, 0.0])
                number, squares = self.decay * number, self.decay * squares
                gap, total = float(rewards.mean()) - mean, number + len(rewards)
                squares += float(((rewards - rewards.mean()) ** 2).sum())
                squares += gap**2 * number * len(rewards) / total
                self.known[group.task.id] = [total, mean + gap * len(rewards) / total, squares]


def initial(
    successes: float, samples: int, weight: float, form: Literal["paper", "release"]
) -> tuple[float, float]:
    """Beta counts from `samples` offline attempts, `weight` in all; without any 0.5 each."""
    if samples == 0:
        return 0.5, 0.5
    right, of = (successes, samples) if form == "paper" else (successes + 0.5, samples + 1)
    return weight * right / of, weight * (1 - right / of)


def forgetting(drift: float, half: float, low: float, high: float) -> float:
    """How much of the counts stays after the policy drifted by `drift` nats per token."""
    return float(min(high, max(low, 2 ** (-drift / half))))


class Forgetting(Remembering):
    """Rewards as counts that fade as the policy drifts away from what it last answered.

    The drift is the mean over the last answer's tokens of |log-prob then - log-prob now|, nats.
    Rewards outside [0, 1] work too: a + b counts attempts and a/(a+b) is their moving average.

    Args:
        half: drift at which half would be kept, in nats per token; None measures no drift.
        low, high: the least and the largest share that is kept.
        prior: successes of `prior_samples` offline attempts, by task id.
        form: the paper's prior, or the release's, which is never 0.

    Formula: (a, b) <- rho (a, b) + (r, 1 - r), rho = clip(2^(-drift/{half}), {low}, {high})
    """

    def __init__(
        self,
        *,
        half: float | None = 0.06,
        low: float = 0.875,
        high: float = 0.96,
        prior: Mapping[str, float] | None = None,
        prior_samples: int = 8,
        form: Literal["paper", "release"] = "paper",
    ) -> None:
        super().__init__()
        self.half, self.low, self.high = half, low, high
        self.unseen = list(initial(0, 0, 1 / (1 - low), form))
        self.answers: dict[str, dict[str, Any]] = {}
        for name, successes in (prior or {}).items():
            self.known[name] = list(initial(successes, prior_samples, 1 / (1 - low), form))

    def predict(self, task: Task) -> float:
        """The value a/(a+b)."""
        alpha, beta = self.known.get(task.id, self.unseen)
        return alpha / (alpha + beta)

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Fade by the drift since the last answer, count the new ones in order, keep the last."""
        groups = [group for group in groups if own(group)]
        drifts = self.drifts(groups, score)
        for group in groups:
            for episode in own(group):  # a second attempt of a round comes without drift
                moved = drifts.pop(group.task.id, 0.0)
                keep = forgetting(moved, self.half or 1.0, self.low, self.high)
                alpha, beta = self.known.get(group.task.id, self.unseen)
                after = beta_update(alpha, beta, episode.main.reward, 1.0, keep)
                self.known[group.task.id] = list(after)
            if self.half is not None:
                self.answers[group.task.id] = packed(own(group)[-1].main)

    def drifts(self, groups: Sequence[Group], score: Score) -> dict[str, float]:
        """How far the policy moved on each task's last answer; tasks without one are left out."""
        known = {g.task.id: g.task for g in groups if g.task.id in self.answers}
        before = [unpacked(self.answers[name]) for name in known]
        pairs = zip(known.values(), before, strict=True)
        episodes = [Episode(task=task, trajectories=(answer,)) for task, answer in pairs]
        now = score(episodes) if episodes else []
        return {name: drift(t, n) for name, t, n in zip(known, before, now, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """Counts and last answers by task id."""
        return {**super().state_dict(), "answers": dict(self.answers)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        super().load_state_dict(state)
        self.answers = dict(state["answers"])


def drift(answer: Trajectory, now: Floats) -> float:
    """Mean over an answer's tokens of |log-prob then - log-prob now|, 0 without tokens."""
    then = [logprob for turn in answer.turns for logprob in turn.completion.logprobs]
    return float(np.abs(np.array(then, np.float64) - now).mean()) if then else 0.0


def packed(answer: Trajectory) -> dict[str, Any]:
    """A trajectory's tokens and log-probs (to 5 digits) as JSON, each context written once."""
    samples, places = merge(answer)
    turns = [
        [sample, start, [round(float(logprob), 5) for logprob in turn.completion.logprobs]]
        for turn, (sample, start) in zip(answer.turns, places, strict=True)
        if turn.trained
    ]
    return {"samples": [sample.ids.tolist() for sample in samples], "turns": turns}


def unpacked(answer: Mapping[str, Any]) -> Trajectory:
    """A trajectory of the same tokens and log-probs; texts and provenance are gone."""
    turns = []
    for sample, start, logprobs in answer["turns"]:
        ids = np.array(answer["samples"][sample], np.int64)
        new, then = ids[start : start + len(logprobs)], np.array(logprobs, np.float32)
        said = Completion(ids=new, logprobs=then, text="", finish=Finish.STOP)
        turns.append(Turn(spans=(Span(ids=ids[:start], source=Source.ENV),), completion=said))
    return Trajectory(turns=tuple(turns))
