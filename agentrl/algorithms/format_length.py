"""Format and length as a surrogate reward: training without any gold answer.

Source: arXiv 2505.19439 and its code (insightLLM/rl-without-gt).
Tier: A.
Certainty: code; how the release scores think tags is ours (`tags`, none for the Qwen template).
Differs: shape: a boxed answer is there, and the length is near a turning point.
Assumes: a model whose right answers are boxed and of middling length; nothing else says what is
right. Agents may measure turns instead of tokens.
Edges: length 0 gives 0, the turning point 1, the limit -1, and it falls further beyond; without an
answer length can only cost; all equal gives zero.
"""

from collections.abc import Sequence
from typing import Literal

from agentrl.algorithms.base import Algorithm, Part, part, refuses
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import final_text, given_answer
from agentrl.penalties import kl
from agentrl.rewards import with_rewards
from agentrl.types import Episode, Group


def needs_a_curve(record: Algorithm, part: Part) -> str | None:
    """Where the length score has no value."""
    point, limit = part.settings["turning_point"], part.settings["max_length"]
    if 0 < point < 1 and limit > 0:
        return None
    return f"needs 0 < turning_point < 1 and max_length > 0, not {point} and {limit}"


@refuses(needs_a_curve)
def format_and_length(
    groups: Sequence[Group],
    *,
    read: str = "boxed",
    parsed: str = "",
    tags: tuple[str, ...] = (),
    length: Literal["tokens", "turns", "off"] = "tokens",
    max_length: int = 3072,
    turning_point: float = 0.5,
) -> list[Group]:
    """A score that no gold answer is needed for.

    F is 1 where an answer stands in `read` (explained in `answer_match`); `parsed` names a part
    that says so instead, where only the environment can parse answers. soft is the share of `tags`
    that occur exactly once. `length: off` leaves the format alone.

    Formula: 0.5 (soft + F) + y if F > 0 else min(0, y), F: '{read}' or part '{parsed}', soft:
    {tags}; y = 1 - (1 - x/p)^2 up to p = {turning_point}, then 1 - 2 ((x-p)/(1-p))^2, x = {length}
    over {max_length}
    """

    def reward(episode: Episode) -> float:
        main, text = episode.main, final_text(episode)
        found = main.parts.get(parsed, 0.0) > 0 if parsed else given_answer(episode, read)
        soft = sum(text.count(tag) == 1 for tag in tags) / max(1, len(tags))
        size = len(main.turns) if length == "turns" else main.num_tokens
        form = 0.5 * (soft + bool(found))
        if length == "off":
            return form
        bonus = length_score(size / max_length, turning_point)
        return form + bonus if found else min(0.0, bonus)

    return with_rewards(groups, reward)


def length_score(share: float, point: float) -> float:
    """0 at length 0, 1 at the turning point, -1 at the limit; `share` is length over limit."""
    if share <= point:
        return 1 - (1 - share / point) ** 2
    return 1 - 2 * ((share - point) / (1 - point)) ** 2


FORMAT_LENGTH = GRPO.but(shape=part(format_and_length), penalty=part(kl, coef=0.001))
