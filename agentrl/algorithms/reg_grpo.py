"""Reg-GRPO: regress the advantage on the group-normalised sequence log-ratio; text analogue.

Source: arXiv 2506.07464 (video); the loss itself knows no modality.
Tier: C.
Certainty: paper; eps and the first step are open.
Differs: the loss is a squared error instead of a clipped surrogate; its gradient is exact. The
advantage's std is the population's. The augmentation of tasks is no part of this record.
Assumes: open parameters are `eps`, `floor` (the smallest scale of the log-ratios, in nats; ours)
and the coefficient of the KL, which is 0 here.
Edges: log-ratios without spread predict 0 and are scaled by the floor, so the first step follows
the advantage; all-equal rewards still pull log-ratios together, below the floor; one attempt has
no error; a trajectory without tokens is left out of the regression.
"""

import torch

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import every_group, part, prepares, refuses
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import inexact, trajectory_means
from agentrl.table import View, per_trajectory


def normalised(
    ratios: torch.Tensor, of: torch.Tensor, count: int, ddof: int, eps: float, floor: float
) -> torch.Tensor:
    """`ratios [N]` centred and scaled in their groups `of [N]`; differentiable everywhere."""
    size = torch.bincount(of, minlength=count)
    empty = ratios.new_zeros(count)
    centred = ratios - (empty.index_add(0, of, ratios) / size.clamp(min=1))[of]
    variance = empty.index_add(0, of, centred**2) / (size - ddof).clamp(min=1)
    return centred / (variance.clamp(min=floor**2).sqrt() + eps)[of]


def slopes(
    view: View, *, ddof: int = 0, eps: float = 1e-6, floor: float = 0.05
) -> dict[str, torch.Tensor]:
    """Columns `predicted` and `slope`, of the summed error by each trajectory's log-ratio."""
    table, sizes = view.table, view.table.sizes("trajectory")
    said = (sizes > 0).nonzero()[:, 0]
    of = table.owner["episode"][table.owner["trajectory"]][said]
    wanted = trajectory_means(view, view.advantage)[said]
    ratios = (trajectory_means(view, view.logprobs - view.old) * sizes)[said]
    with torch.enable_grad():
        ratios.requires_grad_()
        predicted = normalised(ratios, of, table.num_groups, ddof, eps, floor)
        (slope,) = torch.autograd.grad(((wanted - predicted) ** 2).sum(), ratios)
    columns = {"predicted": predicted.detach(), "slope": slope * sizes[said]}
    blank = torch.zeros(len(sizes), dtype=ratios.dtype)
    return {n: per_trajectory(table, blank.index_add(0, said, v)) for n, v in columns.items()}


@every_group
@prepares(slopes)
@refuses(inexact)
def regression(
    view: View, *, ddof: int = 0, eps: float = 1e-6, floor: float = 0.05
) -> torch.Tensor:
    """Squared error between the advantage and the normalised log-ratio of the whole trajectory.

    Formula: (A - (rho - mean rho)/(max(std rho, {floor}) + {eps}))^2, ddof {ddof}, rho = sum of
    (logp - old); weigh by seq_mean_token_mean
    """
    move = view.logprobs - view.logprobs.detach()
    return (view.advantage - view.predicted) ** 2 + view.slope * move


REG_GRPO = GRPO.but(advantage=part(group_advantage, ddof=0), loss=part(regression))
