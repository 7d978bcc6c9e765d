"""Trajectories -> samples: the sequences that the model reads.

The merge rule. Turn t+1 continues turn t's sample iff its context begins with turn t's context and
completion; otherwise the conversation was rewritten and the sample forks:

    turn 0:  [context 0][sampled 0]
    turn 1:  [context 0][sampled 0][reply][sampled 1]  -> one sample, rows for sampled 0 and 1
    turn 2:  [summary                    ][sampled 2]  -> a second sample, rows for sampled 2 only

Sampled tokens that a later sample merely repeats as context have their row where they were sampled
and none there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentrl.errors import DataError
from agentrl.types import Episode, Ids, Source, Trajectory, Turn, join


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence that the model reads, `ids [T]`; which tokens are rows the table says."""

    ids: Ids
    observed: NDArray[np.bool_]
    """`[T]`, True where the environment wrote after the opening."""


def credited(episode: Episode) -> list[Trajectory]:
    """The trajectories that credit counts: those that did not fail and have something to train.

    The main one has its place even without a turn; a frozen agent's are context of the others.
    """
    return [
        trajectory
        for number, trajectory in enumerate(episode.trajectories)
        if not trajectory.status.failed
        and (number == 0 or not trajectory.turns or any(turn.trained for turn in trajectory.turns))
    ]


def merge(trajectory: Trajectory) -> tuple[list[Sample], list[tuple[int, int]]]:
    """Apply the merge rule: the samples, and each turn's sample and first sampled position."""
    sequences: list[Ids] = []
    places: list[tuple[int, int]] = []
    for turn in trajectory.turns:
        context = join(turn.context)
        if not len(context):
            raise DataError("a turn has an empty context, so nothing predicts its first token")
        grows = bool(sequences) and len(context) >= len(sequences[-1])
        if not (grows and np.array_equal(context[: len(sequences[-1])], sequences[-1])):
            sequences.append(context)
        sequences[-1] = np.concatenate([context, turn.completion.ids])
        places.append((len(sequences) - 1, len(context)))
    last = {sample: turn for turn, (sample, _) in zip(trajectory.turns, places, strict=True)}
    opening = places[0][1] if places else 0
    samples = [Sample(ids, observed(last[i], opening)) for i, ids in enumerate(sequences)]
    return samples, places


def observed(turn: Turn, opening: int) -> NDArray[np.bool_]:
    """Which tokens of a turn's context and completion the environment wrote after the opening."""
    flags = [np.full(len(span.ids), span.source is Source.ENV) for span in turn.context]
    whole = np.concatenate([*flags, np.zeros(len(turn.completion.ids), bool)])
    whole[:opening] = False
    return whole


def token_rewards(trajectory: Trajectory) -> list[NDArray[np.float32]]:
    """Rewards of each turn's tokens: the turn's on its last one, the rest of the trajectory's too.

    A turn without tokens leaves its reward to the turn before it, or after if there is none.
    """
    paid = [np.zeros(len(turn.completion.ids), np.float32) for turn in trajectory.turns]
    spoken = [i for i, tokens in enumerate(paid) if len(tokens)]
    given = 0.0
    for i, turn in enumerate(trajectory.turns if spoken else ()):
        place = max([j for j in spoken if j <= i], default=spoken[0])
        paid[place][-1] += turn.reward
        given += turn.reward
    if spoken:
        paid[spoken[-1]][-1] += trajectory.reward - given
    return paid
