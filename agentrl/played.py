"""What a step played, in numbers, and whether it played at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentrl.errors import PolicyError, ToolError
from agentrl.evaluate import by_kind, mean, mean_parts
from agentrl.learner import Metrics
from agentrl.types import Group, Status, Task


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
    sampled = sum(episode.num_tokens for episode in played if not episode.main.status.failed)
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
        "train/tokens": sampled / count,
        "train/truncated": sum(episode.status.truncated for episode in live) / count,
        "train/turns_cut": cut / max(1, len(turns)),
        "train/failed_episodes": float(len(episodes) - len(live)),
        "speed/generation": sampled / seconds,
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
