"""ETR: an elastic clip, wider where the advantage is large and the task undecided.

Source: arXiv 2601.03723 (the idea); the formula is our reading, not the paper's.
Tier: B.
Certainty: paper for the idea, reconstructed for the formula.
Differs: the clip's width is a column: it grows with |A| against the group's mean |A| and with the
variance of the group's outcomes, largest at a pass rate of 1/2. `a` and `b` at 0 give GRPO.
Assumes: open parameters are a, b (0.5 here), eps0, low and high; success is a yes or no.
Edges: all-equal rewards have the micro factor 1 (and no gradient); one attempt likewise; no success
narrows the clip to the macro factor; empty and truncated attempts count in the pass rate.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import STANDARD, correct, credit_columns, group_means, spoken_means
from agentrl.algorithms.base import Part, declare, part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import elastic_clipped
from agentrl.table import Table, per_group
from agentrl.types import Group


@declare(makes=("width",))
def with_width(
    table: Table,
    groups: Sequence[Group],
    *,
    base: Part = STANDARD,
    eps0: float = 0.2,
    a: float = 0.5,
    b: float = 0.5,
    low: float = 0.5,
    high: float = 2.0,
) -> dict[str, torch.Tensor]:
    """Another advantage, and the width of each token's clip beside it.

    Formula: A of {base}; width {eps0} clip(micro macro, {low}, {high}),
    micro = 1 + {a}(|A|/mean|A| - 1), macro = 1 + {b}(4p(1-p) - 1), p = pass rate
    """
    columns = credit_columns(base, table, groups)
    size, right = columns["advantage"].abs(), correct(table, groups, None).double()
    typical = per_group(table, spoken_means(table, size))
    rate = per_group(table, group_means(right, table.owner["episode"], table.num_groups))
    micro = torch.where(typical > 0, size / typical.clamp(min=1e-12), 1.0)
    factor = (1 + a * (micro - 1)) * (1 + b * (4 * rate * (1 - rate) - 1))
    return {**columns, "width": eps0 * factor.clamp(low, high)}


ETR = GRPO.but(advantage=part(with_width), loss=part(elastic_clipped))
