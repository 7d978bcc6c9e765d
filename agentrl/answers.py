"""Rewards that read what the policy wrote: the last turn's text against the task's data.

Texts are taken apart in `parsing.py`; what environments and judges said of an episode are named
parts, see `rewards.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from agentrl.errors import DataError
from agentrl.parsing import answer_in, arithmetic, blocks, json_list
from agentrl.rewards import Parts, curve, holds, staircase, with_parts, with_rewards
from agentrl.types import Episode, Group, Parse


def answer_match(
    groups: Sequence[Group],
    *,
    gold: str = "answer",
    read: str = "answer",
    ignore_case: bool = False,
) -> list[Group]:
    """Whether the answer is one of the accepted ones, which the task's data holds under `gold`.

    `read` is where it stands in the last turn: `text`, `boxed`, a tag's name (`answer_in`), or
    `canonical` for the environment's own form (`Trajectory.answer`).

    Formula: r = 1 if what stands in '{read}' is one of the task's '{gold}', else 0; any case will
    do: {ignore_case}
    """
    return with_rewards(groups, lambda episode: float(is_right(episode, gold, read, ignore_case)))


def within_budget(
    groups: Sequence[Group],
    *,
    weights: Mapping[str, float],
    schedule: tuple[float, float, int] = (256, 0.7, 150),
    form: Literal["triangle", "band"] = "triangle",
) -> list[Group]:
    """The parts `right`, `length`, `think` and `answer`; the length against the step's budget.

    `schedule` is the budget's start in tokens, its factor, and the steps between two factors.

    Formula: r = sum of {weights} over the parts; length: {form}, 1 at the budget, 0 from twice it
    on; budget = start factor^floor(step/every), at least 1, of {schedule}
    """
    shaped: list[Group] = []
    for group in groups:
        most = budget(group.step, schedule)
        points = [(0.0, 0.0)] * (form == "triangle") + [(most, 1.0), (2 * most, 0.0)]
        shaped += with_parts([group], partial(budgeted, points=points), weights)
    return shaped


def result_set(
    groups: Sequence[Group],
    *,
    gold: str = "answers",
    read: str = "answer",
    executed: str = "executed",
    executable_weight: float = 0.0,
    format_weight: float = 0.0,
) -> list[Group]:
    """The outcome alone, plus optional side terms.

    `executable` is 1 when some query ran (the part `executed` is above 0), `well_formed` when no
    turn failed to parse. `read` is explained in `answer_match`.

    Formula: r = 1[set in '{read}' = set '{gold}'] + {executable_weight} 1['{executed}' > 0]
    + {format_weight} 1[every turn parsed]
    """
    weights = {"right": 1.0, "executable": executable_weight, "well_formed": format_weight}

    def parts(episode: Episode) -> dict[str, float]:
        main = episode.main
        parsed = all(turn.parse is Parse.OK for turn in main.turns)
        return {
            **main.parts,
            "right": float(is_right_set(episode, gold, read)),
            "executable": float(holds(episode, executed)),
            "well_formed": float(parsed and bool(main.turns)),
        }

    return with_parts(groups, parts, weights)


def cost_matrix(
    groups: Sequence[Group],
    *,
    matrix: Mapping[str, Mapping[str, float]],
    truth: str = "label",
    read: str = "canonical",
    otherwise: float = 0.0,
) -> list[Group]:
    """The price of the answer given the true class, from a matrix.

    `read` is where the answer stands: `text`, `boxed`, a tag's name, or `canonical`.

    Formula: r = matrix[true][answer], else {otherwise}; true by {truth} of the task, answer by
    {read}, {matrix}
    """

    def price(episode: Episode) -> float:
        prices = matrix.get(label(task_value(episode, truth)), {})
        return float(prices.get(given_answer(episode, read) or "", otherwise))

    return with_rewards(groups, price)


def budget(step: int, schedule: tuple[float, float, int]) -> float:
    """Tokens at a training step, at least 1."""
    return max(1.0, staircase(step, *schedule))


def budgeted(episode: Episode, points: Sequence[tuple[float, float]]) -> Parts:
    """The parts of `within_budget`: the outcome, the height of a curve at the length, the tags."""
    main, text = episode.main, final_text(episode)
    tags = {name: float(bool(blocks(text, name))) for name in ("think", "answer")}
    scores = {"right": float(main.success), "length": curve(main.num_tokens, points)}
    return {**main.parts, **scores, **tags}


def reaches(expression: str, numbers: Sequence[float], target: float) -> bool:
    """Whether a sum uses exactly these numbers, each once, and is worth the target within 1e-5."""
    found = arithmetic(expression)
    if found is None or sorted(found.numbers) != sorted(numbers):
        return False
    return abs(found.value - target) <= 1e-5


def is_right(episode: Episode, gold: str, read: str, ignore_case: bool = False) -> bool:
    """Whether an episode gave one of the accepted answers; both sides are stripped."""
    given, accepted = given_answer(episode, read), gold_answers(episode, gold)
    if ignore_case and given is not None:
        given, accepted = given.upper(), tuple(text.upper() for text in accepted)
    return given in accepted


def is_right_set(episode: Episode, gold: str, read: str) -> bool:
    """Whether the answer's set is the task's; an environment's own form may be a JSON list."""
    given, wanted = given_answer(episode, read) or "", gold_answers(episode, gold)
    if read == "canonical" and (items := json_list(given)) is not None:
        return set(map(str, items)) == set(wanted)
    found = names([given])
    return bool(found) and found == names(wanted)


def final_text(episode: Episode) -> str:
    """What the policy wrote in its last turn, empty without one."""
    turns = episode.main.turns
    return turns[-1].completion.text if turns else ""


def given_answer(episode: Episode, read: str) -> str | None:
    """The episode's answer, stripped; None without one.

    `read` is where it stands in the last turn (`answer_in`), or `canonical` for the environment's
    own form of it (`Trajectory.answer`).
    """
    if read == "canonical":
        return (episode.main.answer or "").strip() or None
    return answer_in(final_text(episode), read)


def gold_answers(episode: Episode, key: str) -> tuple[str, ...]:
    """The accepted answers as texts: a list in the task's data is a set of them."""
    value = task_value(episode, key)
    return tuple(str(item).strip() for item in (value if isinstance(value, list) else [value]))


def names(answers: Iterable[str]) -> set[str]:
    """The names in answers, separated by commas or spaces, without a leading colon."""
    return {name.removeprefix(":") for text in answers for name in text.replace(",", " ").split()}


def label(value: object) -> str:
    """A class as text; a list is its items with spaces between."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def task_value(episode: Episode, key: str) -> Any:
    """What the task's data holds under `key`. Raises: DataError if there is no such key."""
    data = episode.task.data
    if key not in data:
        raise DataError(
            f"the reward reads {key!r}, but tasks of {episode.task.env} hold only "
            f"{', '.join(map(repr, data))}: name another key in algorithm.shape"
        )
    return data[key]
