"""A player that knows what conversations look like and not what is asked: a warm start's model.

It knows which sorts of values tools take, and fills them with any values that it has heard since
the user's request. Which tool, which of two names, when to ask, when to decline and when to stop
are left to chance. Now and then it calls a tool that is not offered; where a call fails, it begins
anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from agentrl.envs.functions.manners import DECLINED, DONE, QUESTIONS
from agentrl.functions import Tool
from agentrl.toolenv import Outcome
from agentrl.types import ToolCall

Known = Sequence[tuple[str, Any]]
"""`(sort, value)` of everything heard."""

TAKES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "name": ("person",),
        "sender": ("person",),
        "to": ("address",),
        "guests": ("address",),
        "file": ("file", "new_name"),
    }
)
"""Sorts of values that parameters take, where their name is not the sort."""
GIVES: Mapping[str, str] = MappingProxyType(
    {
        "find_address": "address",
        "find_phone": "phone",
        "free_hours": "hour",
        "list_contacts": "person",
        "list_files": "file",
        "read_file": "text",
    }
)
"""Sorts of the bare values that tools return."""
FOUND = ("person", "address", "phone", "number", "title", "text", "file", "hour")
"""Sorts of values that are taken from results."""
ANSWERS = frozenset({"address", "phone", "title", "text"})
"""Sorts of values that answer questions."""
ASK, DECLINE, TELL, SLIP = 0.2, 0.15, 0.75, 0.15
"""Chances to ask or to decline, whatever the request is; to end with a value, if there is one; not
to look what is offered."""


def heard(outcomes: Sequence[Outcome]) -> list[tuple[str, Any]]:
    """The values in what calls returned."""
    found: list[tuple[str, Any]] = []
    for outcome in outcomes:
        sort = GIVES.get(outcome.call.name, "")
        rows = outcome.value if isinstance(outcome.value, list) else [outcome.value]
        for row in rows:
            if isinstance(row, dict):
                found += [(key, value) for key, value in row.items() if key in FOUND]
            elif sort and row is not None:
                found.append((sort, row))
    return found


class Guesser:
    """One turn's choices, from what is offered, what was heard and chance."""

    def __init__(self, tools: Sequence[Tool], known: Known, rng: np.random.Generator) -> None:
        self.tools = tools
        self.known = known
        self.rng = rng

    def opening(self) -> list[ToolCall] | str:
        """What to do about a request: call, ask or decline."""
        draw = self.rng.random()
        things = self.missing()
        if draw < ASK and things:
            return QUESTIONS[str(self.rng.choice(things))]
        calls = [] if draw > 1 - DECLINE else self.calls(self.known)
        return calls or DECLINED

    def going_on(self, new: Known, made: Sequence[ToolCall], close: float) -> list[ToolCall] | str:
        """What to do after results that brought `new` values: calls not yet `made`, or an end."""
        if not new or self.rng.random() < close:
            return self.ending(new)
        calls = self.calls(new) or self.calls(self.known)
        return [call for call in calls if call not in made] or self.ending(new)

    def ending(self, new: Known) -> str:
        """One of the new values as an answer, or no answer."""
        values = [str(value) for sort, value in new if sort in ANSWERS]
        if values and self.rng.random() < TELL:
            return str(self.rng.choice(values))
        return DONE

    def calls(self, new: Known) -> list[ToolCall]:
        """Calls of one tool that takes one of the `new` values at least; those taking more, more.

        In parallel for every value of one sort, now and then.
        """
        pools = {offer.name: self._pools(offer) for offer in self.tools}
        weights = {
            name: sum(any(pair in new for pair in pool) for pool in pools[name].values()) ** 2
            for name in pools
            if all(pools[name].values())
        }
        total = sum(weights.values())
        if not total:
            return []
        names = list(weights)
        name = str(self.rng.choice(names, p=[weights[one] / total for one in names]))
        return self._filled(name, pools[name])

    def missing(self) -> list[str]:
        """Sorts without which a tool cannot be called that could use something known."""
        sorts = {sort for sort, _ in self.known}
        reachable = sorts | ({"address"} if "person" in sorts else set())
        found: dict[str, None] = {}
        for offer in self.tools:
            wanted = [TAKES.get(name, (name,)) for name in required(offer)]
            lacking = [sort[0] for sort in wanted if not reachable & set(sort)]
            if len(lacking) == 1 and (len(wanted) > 1 or not sorts):
                found["person" if lacking[0] == "address" else lacking[0]] = None
        return [sort for sort in found if sort in QUESTIONS]

    def _pools(self, offer: Tool) -> dict[str, list[tuple[str, Any]]]:
        """What each argument could be."""
        return {
            name: [pair for pair in self.known if pair[0] in TAKES.get(name, (name,))]
            for name in parameters(offer)
        }

    def _filled(self, name: str, pools: Mapping[str, Sequence[tuple[str, Any]]]) -> list[ToolCall]:
        """One call, or one for every value of its first argument where there are several."""
        picks = {key: pool[int(self.rng.integers(len(pool)))][1] for key, pool in pools.items()}
        made = [{**picks}]
        first = next(iter(pools))
        values = list(dict.fromkeys(value for _, value in pools[first]))
        if len(values) > 1 and self.rng.random() < 0.5:
            made = [{**picks, first: value} for value in values]
        return [ToolCall(name, {k: listed(k, v) for k, v in one.items()}) for one in made]


def listed(parameter: str, value: Any) -> Any:
    """A value as its parameter takes it."""
    return [value] if parameter == "guests" else value


def parameters(offer: Tool) -> Iterable[str]:
    """Names of all parameters."""
    properties: Mapping[str, Any] = offer.schema["function"]["parameters"].get("properties", {})
    return properties.keys()


def required(offer: Tool) -> Iterable[str]:
    """Names of the parameters that have no default."""
    names: Sequence[str] = offer.schema["function"]["parameters"].get("required", ())
    return names
