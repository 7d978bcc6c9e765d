"""iGRPO: draft first, then answer again with the best own draft in the prompt; train the latter.

Source: arXiv 2602.09000.
Tier: A.
Certainty: paper; ddof is open (1 here).
Differs: the prompts of the trained attempts. Drafts have no gradient; inference uses no draft.
Assumes: room in the context for a draft; several turns (ours): the draft is the whole transcript,
told with the first observation. The paper halves the attempts so that both phases cost as before.
Edges: all drafts wrong: the first is shown all the same; all drafts broken: none is; no update
where the second phase's rewards are equal.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.direction import PLAIN, Direction
from agentrl.protocols import Play
from agentrl.strategies import best, grouped, live, pass_chance, success_rate, together, transcript
from agentrl.types import Group, Task

TEMPLATE = """An earlier draft for guidance, which may be wrong:
{draft}
Give a better answer of your own without repeating the draft."""


async def improved(
    task: Task, attempts: int, play: Play, *, drafts: int = 4, template: str = TEMPLATE
) -> Group:
    """Attempts that see the best of some drafts, and are trained as they were played.

    The notes hold the best draft's reward and how likely one of the drafts is right.

    Formula: {drafts} drafts; G attempts under the prompt and the draft of the largest reward
    """
    tried = live(await together(task, range(drafts), play))
    direction, notes = PLAIN, {}
    if tried:
        shown = tried[best([draft.main.reward for draft in tried])].main
        text = template.replace("{draft}", transcript(shown))
        direction = Direction(hint=text)  # the policy's own work: no level of help
        chance = pass_chance(success_rate(tried), len(tried))
        notes = {"draft": shown.reward, "draft_chance": chance}
    numbers = range(drafts, drafts + attempts)
    return grouped(task, await together(task, numbers, play, direction), **notes)


IGRPO = GRPO.but(strategy=part(improved))
