"""RGR-GRPO: criteria are the reward, and the best attempt is refined on those it missed.

Source: arXiv 2511.12344.
Tier: B; the weighting of criteria, gamma and the number of refinements are ours.
Certainty: idea from the paper; results second-hand; formulas reconstructed.
Differs: reward = share of the criteria met; a refined answer joins the group as an off-policy
member, trained under the plain prompt with a shaped ratio.
Assumes: the environment names each criterion as a reward part that is 1 when met; give the same
`weights` to shape and strategy. A mix with another verifiable reward is one more criterion.
Edges: the best attempt meets everything: no refinement; all broken: none; equal scores: 0.
"""

from collections.abc import Mapping, Sequence

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.direction import Direction
from agentrl.losses import shaped_off_policy
from agentrl.protocols import Play
from agentrl.rewards import with_rewards
from agentrl.strategies import best, grouped, independent, live, together, transcript
from agentrl.types import Episode, Group, Task

TEMPLATE = """An attempt:
{attempt}
It does not meet: {missed}. Answer again and meet all criteria."""


def missed(episode: Episode, weights: Mapping[str, float]) -> list[str]:
    """The criteria that an episode does not meet, in the order of `weights`."""
    return [name for name in weights if episode.main.parts.get(name, 0.0) < 1 - 1e-9]


def score(episode: Episode, weights: Mapping[str, float]) -> float:
    """The share of the criteria met, by weight."""
    lost = sum(weights[name] for name in missed(episode, weights))
    return 1 - lost / sum(weights.values())


def criteria(groups: Sequence[Group], *, weights: Mapping[str, float]) -> list[Group]:
    """The reward is the weighted share of named parts that are 1.

    Formula: r = sum w c / sum w, c = 1 where the part is 1, else 0; w: {weights}
    """
    return with_rewards(groups, lambda episode: score(episode, weights))


async def refined(
    task: Task,
    attempts: int,
    play: Play,
    *,
    weights: Mapping[str, float],
    refinements: int = 1,
    template: str = TEMPLATE,
) -> Group:
    """Attempts and refinements of the best one, told what it missed and trained as if not told.

    Formula: G attempts and {refinements} of the one with the most of {weights}, if it misses any
    """
    group = await independent(task, attempts, play)
    played = live(group.episodes)
    if not played:
        return group
    leader = played[best([score(episode, weights) for episode in played])]
    names = missed(leader, weights)
    if not names:
        return group
    text = template.replace("{missed}", ", ".join(names))
    text = text.replace("{attempt}", transcript(leader.main))
    way = Direction(hint=text, level=1, plain_training=True)
    more = await together(task, range(attempts, attempts + refinements), play, way)
    return grouped(task, [*group.episodes, *more])


RGR_GRPO = GRPO.but(
    shape=part(criteria, weights={"solved": 1.0}),
    strategy=part(refined, weights={"solved": 1.0}),
    loss=part(shaped_off_policy, gamma=0.1),
)
