"""S-GRPO: early exits from one thought are the group; an earlier right answer earns more.

Source: arXiv 2505.07686.
Tier: B; whether the shared thought is trained, and by whom, is open (`train_prefix`).
Certainty: second-hand, formula complete.
Differs: the group is one full attempt and exits at random places of its first thought, in order;
the k-th right member earns 2^-(k-1); no std. Several turns (ours): only the first one is cut.
Assumes: a policy that thinks before it answers and closes its thought with a tag.
Edges: all wrong: 0; all right still differ; equal places keep their order; a group of one (0) where
nothing can be cut or the full attempt broke.
"""

import asyncio
from dataclasses import replace
from typing import Literal

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.direction import divided, from_token
from agentrl.protocols import Play
from agentrl.rewards import decayed_successes
from agentrl.strategies import grouped, with_main
from agentrl.types import Group, Task, Turn

EXIT = "\nTime is up: the answer follows from what was found so far.\n</think>\n"


async def early_exits(
    task: Task,
    attempts: int,
    play: Play,
    *,
    text: str = EXIT,
    closing: str = "</think>",
    least: int = 1,
    train_prefix: Literal["member", "once", "none"] = "member",
) -> Group:
    """One full attempt, last, and before it answers forced at places of its first thought.

    The thought ends before `closing`, or with the completion. Its tokens are rows of every member
    that repeats them, of the full attempt alone (`once`), or of none.

    Formula: G - 1 exits at cuts drawn from {least}..n thought tokens, in order, then the full
    attempt; the thought is trained: {train_prefix}
    """
    full = await play(task, 0)
    first = full.main.turns[0] if full.main.turns else None
    length = 0 if first is None else await thought_length(first, closing, play)
    if first is None or full.main.status.failed or length < max(1, least):
        return grouped(task, [full])
    cuts = sorted(play.rng.integers(least, length + 1, attempts - 1).tolist())
    ending = await play.render(text)
    ways = [from_token([first], cut - 1) for cut in cuts]
    ways = [replace(way, head=(*way.head, *ending)) for way in ways]
    exits = list(await asyncio.gather(*(play(task, i + 1, way) for i, way in enumerate(ways))))
    if train_prefix == "member":
        pairs = zip(exits, cuts, strict=True)
        exits = [with_main(e, turns=(divided(first, cut)[0], *e.main.turns)) for e, cut in pairs]
    if train_prefix == "none":
        thought, answer = divided(first, length)
        turns = (replace(thought, trained=False), answer, *full.main.turns[1:])
        full = with_main(full, turns=turns)
    return grouped(task, [*exits, full])


async def thought_length(turn: Turn, closing: str, play: Play) -> int:
    """Sampled tokens before the closing tag; without one, all that leave a token to sample."""
    said, tag, _ = turn.completion.text.partition(closing) if closing else ("", "", "")
    whole = len(turn.completion.ids) - 1
    return min(whole, sum(len(span.ids) for span in await play.render(said))) if tag else whole


SERIAL_GROUP = GRPO.but(
    strategy=part(early_exits),
    shape=part(decayed_successes),
    advantage=part(group_advantage, scale="none"),
    keeps_scale=True,
)
