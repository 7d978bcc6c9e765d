"""PPO, GRPO and DAPO compared on Countdown; the record is DAPO without dynamic sampling.

Source: arXiv 2512.07611; the reward's form as in the plugin of tongjingqi/Game-RL.
Tier: A.
Certainty: standard losses; the study's numbers are unknown (limits and KL coefficient are ours).
Differs: shape: 1 for an expression that reaches the target, and DAPO's overlong penalty; no `keep`.
`countdown_compare_grpo` has GRPO's loss with a KL penalty, `countdown_compare_ppo` PPO's with the
KL in the reward and without its optional entropy bonus; neither has a length limit.
Assumes: the task's data holds `numbers` and `target`, or the environment judges expressions itself
and names the part (`solved`).
Edges: other syntax, a unary minus, a number used twice or left out, division by zero, no answer: 0.
"""

from collections.abc import Sequence

from agentrl.algorithms.base import part
from agentrl.algorithms.dapo import DAPO
from agentrl.algorithms.grpo import GRPO
from agentrl.algorithms.ppo import PPO
from agentrl.answers import given_answer, reaches, task_value
from agentrl.penalties import kl
from agentrl.returns import gae_advantage, kl_in_reward
from agentrl.rewards import soft_overlong, with_rewards
from agentrl.types import Episode, Group


def countdown(
    groups: Sequence[Group],
    *,
    numbers: str = "numbers",
    target: str = "target",
    read: str = "answer",
    solved: str = "",
    max_length: int | None = None,
    cache: int = 1024,
) -> list[Group]:
    """Whether the answer uses all given numbers once and reaches the target.

    `solved` names a part that says so already, where the environment judges expressions itself.
    `read` is explained in `answer_match`, `max_length` in `soft_overlong`.

    Formula: r = 1 if '{read}' uses all of '{numbers}' once and makes '{target}' (or what the part
    '{solved}' says) + overlong(len), 0 up to {max_length} - {cache}, then falling to -1
    """

    def reward(episode: Episode) -> float:
        if solved:
            return episode.main.parts.get(solved, 0.0)
        given, goal = task_value(episode, numbers), task_value(episode, target)
        return float(reaches(given_answer(episode, read) or "", given, goal))

    judged = with_rewards(groups, reward)
    if max_length is None:
        return judged
    return soft_overlong(judged, max_length=max_length, cache=cache)


COUNTDOWN_COMPARE = DAPO.but(shape=part(countdown, max_length=4096), keep=None)

COUNTDOWN_COMPARE_GRPO = GRPO.but(shape=part(countdown), penalty=part(kl, coef=0.001))

COUNTDOWN_COMPARE_PPO = PPO.but(
    shape=part(countdown), advantage=part(kl_in_reward, base=part(gae_advantage))
)
