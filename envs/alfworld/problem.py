"""The PDDL problem of a game: its objects, its facts and its goal, read and written as text.

Only what ALFWorld's games use: one agent, typed objects, positive facts, and the six goals. Names
are lower case, as the reference makes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agentrl.envs.alfworld.game import Goal
from agentrl.errors import DataError

Tree: TypeAlias = "str | list[Tree]"

AGENT = "agent1"
_PLACED = ("receptacletype ?r R", "objecttype ?o O", "inreceptacle ?o ?r")
GOALS = {
    "pick_and_place_simple": _PLACED,
    "look_at_obj_in_light": (
        "objecttype ?ot L",
        "toggleable ?ot",
        "istoggled ?ot",
        "receptacleatlocation ?r ?l",
        "atlocation ?a ?l",
        "inreceptacle ?ot ?r",
        "objecttype ?o O",
        "holds ?a ?o",
    ),
    "pick_clean_then_place_in_recep": (*_PLACED, "cleanable ?o", "isclean ?o"),
    "pick_heat_then_place_in_recep": (*_PLACED, "heatable ?o", "ishot ?o"),
    "pick_cool_then_place_in_recep": (*_PLACED, "coolable ?o", "iscool ?o"),
    "pick_two_obj_and_place": (
        "receptacletype ?r R",
        "objecttype ?o1 O",
        "objecttype ?o2 O",
        "inreceptacle ?o1 ?r",
        "inreceptacle ?o2 ?r",
        "not = ?o1 ?o2",
    ),
}
"""By task type, what must hold of some ?o, ?r...; O, R and L are the kinds of the goal."""
VARIABLES = {
    "?r": "receptacle",
    "?l": "location",
    "?a": "agent",
    **dict.fromkeys(("?o", "?o1", "?o2", "?ot"), "object"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A game's PDDL problem."""

    types: Mapping[str, str]
    """Type by name of an object: `receptacle`, `object`, `otype`..."""
    kinds: Mapping[str, str]
    """A kind as it is spelled, `SinkBasin`, by the name of its type, `sinkbasintype`."""
    facts: Mapping[str, Sequence[tuple[str, ...]]]
    """Arguments of the facts that hold at the start, by predicate."""
    goal: Goal

    def of(self, predicate: str) -> Mapping[str, tuple[str, ...]]:
        """The second arguments of a predicate's facts, by the first one, sorted."""
        found: dict[str, tuple[str, ...]] = {}
        for first, second in sorted(self.facts.get(predicate, ())):
            found[first] = (*found.get(first, ()), second)
        return found

    def that(self, predicate: str) -> frozenset[str]:
        """The things that a predicate holds of."""
        return frozenset(arguments[0] for arguments in self.facts.get(predicate, ()))


def parse_problem(text: str) -> Problem:
    """Read the text of a problem.

    Raises:
        DataError: it is none, or its goal is none of the six.
    """
    sections = {part[0]: part[1:] for part in _tree(text) if isinstance(part, list) and part}
    missing = sorted({":objects", ":init", ":goal"} - set(map(str, sections)))
    if missing:
        raise DataError(f"the game's problem has no {missing[0]}: is it whole?")
    types, spelled = _typed(sections[":objects"]), _spelled(text)
    facts: dict[str, list[tuple[str, ...]]] = {}
    for fact in sections[":init"]:
        if isinstance(fact, list) and fact[0] != "=":  # distances and costs change no text
            facts.setdefault(str(fact[0]), []).append(tuple(map(str, fact[1:])))
    kinds = {
        name: spelled[name][: -len("Type")]
        for name, kind in types.items()
        if kind in ("otype", "rtype")
    }
    goal = _goal({" ".join(one) for one in _literals(sections[":goal"][0])}, kinds)
    return Problem(types=types, kinds=kinds, facts=facts, goal=goal)


def _tree(text: str) -> list[Tree]:
    """The one bracketed expression of a text, lower case, without its comments.

    Raises:
        DataError: brackets do not match.
    """
    stack: list[list[Tree]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text).lower()):
        if token == "(":
            stack.append([])
        elif token != ")":
            stack[-1].append(token)
        elif len(stack) > 1:
            closed = stack.pop()
            stack[-1].append(closed)
        else:
            raise DataError("the game's problem closes a bracket that it never opened")
    if len(stack) > 1 or len(stack[0]) != 1 or isinstance(stack[0][0], str):
        raise DataError("the game's problem is not one bracketed expression: is it whole?")
    return stack[0][0]


def _typed(tokens: Sequence[Tree]) -> dict[str, str]:
    """The types in `a b - type c - type`."""
    types: dict[str, str] = {}
    waiting: list[str] = []
    words = map(str, tokens)
    for word in words:
        if word == "-":
            types.update(dict.fromkeys(waiting, next(words, "")))
            waiting = []
        else:
            waiting.append(word)
    return types


def _spelled(text: str) -> dict[str, str]:
    """The words of a text as they are first written, by their lower case."""
    spelled: dict[str, str] = {}
    for word in re.findall(r"\w+", text):
        spelled.setdefault(word.lower(), word)
    return spelled


def _literals(tree: Tree) -> Iterator[list[str]]:
    """What a goal of `and` and `exists` asks for, each with its arguments."""
    head = tree[0] if tree else ""
    if head in ("and", "exists"):
        for part in tree[1 if head == "and" else 2 :]:
            yield from _literals(part)
    elif head == "not":
        yield ["not", *map(str, tree[1])]
    else:
        yield list(map(str, tree))


def _goal(asked: set[str], kinds: Mapping[str, str]) -> Goal:
    """The goal that asks for just that.

    Raises:
        DataError: it is none of the six.
    """
    for task, template in GOALS.items():
        found = dict(_roles(template, asked))
        if {_filled(line, found) for line in template} == asked:
            item, receptacle, lamp = (kinds.get(found.get(role, ""), "") for role in "ORL")
            return Goal(task=task, item=item, receptacle=receptacle, lamp=lamp)
    raise DataError(
        f"the game's goal ({'; '.join(sorted(asked))}) is none of the simulator's:"
        f" {', '.join(GOALS)}"
    )


def _roles(template: Iterable[str], asked: set[str]) -> Iterator[tuple[str, str]]:
    """The goal's kinds by role, as far as what is asked for tells them."""
    for line in template:
        start, role = line.rsplit(" ", 1)
        if role in "ORL":
            ends = [one.rsplit(" ", 1)[1] for one in asked if one.startswith(start + " ")]
            yield role, min(ends, default="")


def _filled(line: str, kinds: Mapping[str, str]) -> str:
    start, last = line.rsplit(" ", 1)
    return f"{start} {kinds.get(last, last)}"


def goal_text(goal: Goal) -> str:
    """The goal as a problem writes it."""
    kinds = {"O": f"{goal.item}Type", "R": f"{goal.receptacle}Type", "L": f"{goal.lamp}Type"}
    lines = [_filled(line, kinds) for line in GOALS[goal.task]]
    bound = [name for name in VARIABLES if any(name in line.split() for line in lines)]
    parts = [f"(not ({line[4:]}))" if line.startswith("not ") else f"({line})" for line in lines]
    binders = " ".join(f"{name} - {VARIABLES[name]}" for name in bound)
    return "\n".join([f"(:goal (and (exists ({binders})", "(and", *parts, "))))"])


def problem_text(objects: Iterable[tuple[str, str]], facts: Iterable[str], goal: Goal) -> str:
    """A whole problem: objects with their types, facts without their brackets, and a goal."""
    return "\n".join(
        [
            "(define (problem household)",
            "(:domain alfred)",
            "(:objects",
            *(f"{name} - {kind}" for name, kind in objects),
            ")",
            "(:init",
            *(f"({fact})" for fact in facts),
            ")",
            goal_text(goal),
            ")",
        ]
    )
