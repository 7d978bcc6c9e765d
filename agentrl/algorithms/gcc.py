"""GRPO-GCC: what cooperators earn is scaled by how many of the population cooperate.

Source: arXiv 2510.08607 (the spatial public goods game, not a language model).
Tier: C.
Certainty: paper (game, idea); reconstructed (the factor 1 + rho g (1 - g)).
Differs: the reward, text analogue: a norm is a named part, and whoever follows it has the reward
multiplied by a factor of the batch's share g of followers, largest where half of them do. Open: the
factor's form and rho. The paper has a KL; its coefficient is not known, and it is off here.
Assumes: the environment names the norm as a part, above 0 for whoever followed it; with
`multiplier`, that a group's attempts are the players of one game.
Edges: everybody or nobody follows: the factor is 1, as for an empty batch; a rate outside [0, 1] is
an error; all equal or one attempt gives zero; a truncated attempt counts by its part.
"""

from collections.abc import Sequence

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.errors import ConfigError
from agentrl.rewards import holds, public_goods, with_rewards
from agentrl.types import Group


def population_scaled(
    groups: Sequence[Group],
    *,
    norm: str = "cooperates",
    rho: float = 1.0,
    multiplier: float | None = None,
    cooperation_rate: float | None = None,
) -> list[Group]:
    """The reward of whoever followed the norm, times a factor of the batch's share of followers.

    Formula: r (1 + {rho} g (1-g)) where {norm} holds, else r; g its share of the batch (fixed:
    {cooperation_rate}); public goods game with multiplier {multiplier}, None: the given reward
    """
    played = groups
    if multiplier is not None:
        played = public_goods(groups, norm=norm, multiplier=multiplier)
    population = [holds(episode, norm) for group in played for episode in group.live]
    share = sum(population) / max(1, len(population))
    rate = share if cooperation_rate is None else cooperation_rate
    if not 0 <= rate <= 1:
        raise ConfigError(f"cooperation_rate is {rate}: give a share in [0, 1]", "cooperation_rate")
    factor = 1 + rho * rate * (1 - rate)
    return with_rewards(played, lambda e: e.main.reward * (factor if holds(e, norm) else 1.0))


GCC = GRPO.but(shape=part(population_scaled))
