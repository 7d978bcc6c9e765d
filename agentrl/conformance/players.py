"""Rules about who succeeds: the oracle always, an ignorant player never."""

from __future__ import annotations

import math
from collections.abc import Iterator

from agentrl.conformance.trials import STRANGERS, Skip, Subject, able
from agentrl.types import Parse


def oracle(subject: Subject) -> Iterator[str]:
    """The oracle solves every task and earns the most that `reward_range` declares."""
    if "the oracle" not in able(subject.make()):
        raise Skip("there is no oracle")
    for trial in subject.played("the oracle"):
        if not trial.solved:
            yield f"the oracle does not solve {trial.where}{trial.error and ': '}{trial.error}"
        elif math.isfinite(most := trial.reward_range[1]) and trial.earned < most - 1e-6:
            yield f"the oracle earns less than reward_range's {most:g} at {trial.where}"


def expert(subject: Subject) -> Iterator[str]:
    """The expert speaks as the environment wants it, right or wrong."""
    if "the expert" not in able(subject.make()):
        raise Skip("there is no expert")
    for trial in subject.played("the expert"):
        for step in trial.steps[1:]:
            if (parse := step.info.get("parse", Parse.OK)) is not Parse.OK:
                said = f"the expert says {step.said!r:.60}"
                yield f"{said}, which is {parse}: let it be well formed"


def clueless(subject: Subject) -> Iterator[str]:
    """Saying nothing, hostile or random text, or what was heard, solves no task, but by `luck`."""
    luck = subject.make().luck
    for name in STRANGERS:
        trials = [trial for trial in subject.played(name) if trial.alone]
        lost = [trial for trial in trials if not trial.solved]
        for trial in trials:
            if trial.solved and not (luck and lost):
                mend = "" if luck else "; declare luck = True if chance may win"
                yield f"{name} solves {trial.where}{mend}"


def best(subject: Subject) -> Iterator[str]:
    """Nobody earns more than the oracle, and no clueless player as much."""
    played = subject.played("the oracle")
    tops = {t.task.id: t.earned for t in played if t.task and not t.error}
    for trial in subject.trials:
        top = tops.get(trial.task.id, math.inf) if trial.task else math.inf
        if trial.earned > top + 1e-6:
            yield f"{trial.player} earns more than the oracle's {top:g} at {trial.where}"
        elif trial.player in STRANGERS and not trial.solved and trial.earned > top - 1e-6:
            yield f"{trial.player} earns the oracle's {top:g} without success at {trial.where}"


RULES = (oracle, expert, clueless, best)
