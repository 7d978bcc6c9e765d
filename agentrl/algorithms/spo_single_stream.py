"""SPO (single stream): one attempt a task against what a tracker expected; no groups.

Source: arXiv 2509.13232 and its code (verl-recipe, spo). Not segment policy optimization.
Tier: A.
Certainty: paper and code.
Differs: a step plays `tasks * attempts` tasks once each, drawn by uncertainty; A = r - value before
the attempt, normalised over the batch; clip 0.2/0.28 with a dual clip at 10; no KL.
Assumes: rewards in [0, 1] for the priorities; tasks come back. Starting values come from offline
attempts (`tracker.prior`); the release's prior is its `form: release`.
Edges: all surprises equal or a single one gives zero; a task without history counts 0.5, and so
does a group that no tracker judged; several attempts at a task count in order.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import group_normalize
from agentrl.algorithms.base import Algorithm, Part, part, refuses
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import pessimistic
from agentrl.protocols import Choice
from agentrl.samplers import Prioritised
from agentrl.table import Table, View, per_episode
from agentrl.trackers import Forgetting
from agentrl.types import Group


class SingleStream(Prioritised):
    """`count * attempts` different tasks with one attempt each, by uncertainty.

    Formula: one attempt each, weight sqrt(v (1-v)) + {floor}
    """

    def choose(self, count: int, attempts: int) -> list[Choice]:
        """The whole budget as single attempts; a smaller pool gives what it has."""
        return super().choose(count * attempts, 1)


def unjudged(record: Algorithm, found: Part) -> str | None:
    """Why a record cannot use the advantage: nobody notes a value."""
    known = "value" in getattr(record.sampler.function, "notes", ())
    return None if known else "reads the sampler's note `value`: take a sampler with a tracker"


@refuses(unjudged)
def surprise(table: Table, groups: Sequence[Group], *, eps: float = 1e-8) -> torch.Tensor:
    """The reward minus the value before the attempt, normalised over the batch.

    Formula: A = (d - mean d) / (std d + {eps}), d = r - v, over all attempts of the step
    """
    values = [group.notes.get("value", 0.5) for group in groups for _ in group.live]
    gaps = table.rewards - torch.tensor(values, dtype=table.rewards.dtype)
    everyone = torch.zeros(len(gaps), dtype=torch.int64)
    return per_episode(table, group_normalize(gaps, everyone, 1, eps=eps))


def dual_clipped(
    view: View, *, clip_low: float = 0.2, clip_high: float = 0.28, dual: float = 10.0
) -> torch.Tensor:
    """The clipped surrogate, bounded for negative advantages too.

    Formula: -min(rho A, clip(rho, 1-{clip_low}, 1+{clip_high}) A), at most {dual} |A|
    """
    loss = pessimistic(view, (view.logprobs - view.old).exp(), clip_low, clip_high)
    return torch.minimum(loss, dual * view.advantage.abs())


SPO_SINGLE_STREAM = GRPO.but(
    advantage=part(surprise),
    loss=part(dual_clipped),
    sampler=part(SingleStream, tracker=part(Forgetting)),
    penalty=None,
)
