"""The official rules that the simulator plays: recognising them, and finding them installed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from agentrl.errors import DataError, MissingDependencyError

UNKNOWN_GOAL = "UNKNOWN GOAL"
"""What the package's grammar says in place of a task."""
SENTENCE = re.compile(r'"rhs": "Your task is to: (.*)\."')
"""The grammar's rule with the task."""
NOT_IN_SENTENCES = re.compile(r'[;|"<>\[\]#{}\\\x00-\x1f]')
"""Characters that the grammar reads as its own."""
RELEASES = {
    ("6eca02b13b273d84", "8675f8a20f2b869f"): "0.3",
    ("da18d44ab1bcf831", "49281f55d68cf8db"): "0.4",
}
"""The releases that the simulator plays, by the identities of their domain and grammar."""


class Rules(NamedTuple):
    """The text of a domain and of a grammar, which games carry along."""

    domain: str
    grammar: str
    """With `UNKNOWN_GOAL` where the task is told."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Rules:
        """The rules in a loaded `game.tw-pddl`."""
        return cls(str(data["pddl_domain"]), with_sentence(str(data["grammar"]), UNKNOWN_GOAL))


def installed_rules() -> Rules:
    """The rules of the alfworld package that is installed here; the package is not imported.

    Raises:
        MissingDependencyError: it is not installed.
    """
    found = find_spec("alfworld")
    if found is None or not found.origin:
        raise MissingDependencyError("alfworld", "pip install 'agentrl[alfworld]'")
    folder = Path(found.origin).parent / "data"
    return Rules((folder / "alfred.pddl").read_text(), (folder / "alfred.twl2").read_text())


def sentence(grammar: str) -> str:
    """The task in a game's grammar, without its full stop.

    Raises:
        DataError: the grammar tells none.
    """
    return _told(grammar)[1]


def with_sentence(grammar: str, task: str) -> str:
    """The grammar, telling another task.

    Raises:
        DataError: the grammar tells none, or would not read the other one as plain words.
    """
    if NOT_IN_SENTENCES.search(task):
        raise DataError(f"the task {task!r} has characters that a grammar cannot tell: reword it")
    start, end = _told(grammar).span(1)
    return grammar[:start] + task + grammar[end:]


def _told(grammar: str) -> re.Match[str]:
    found = SENTENCE.search(grammar)
    if found is None:
        raise DataError("the game's grammar tells no task: it has no rule 'Your task is to: ...'")
    return found


def release_of(rules: Rules) -> str:
    """The release whose rules these are.

    Raises:
        DataError: they are of none that the simulator plays.
    """
    found = identities(rules)
    if found not in RELEASES:
        known = ", ".join(f"{' and '.join(ids)} ({name})" for ids, name in RELEASES.items())
        raise DataError(
            f"the game's domain and grammar ({' and '.join(found)}) are none that the simulator"
            f" plays ({known}): download the data again with `alfworld-download`"
        )
    return RELEASES[found]


def identities(rules: Rules) -> tuple[str, str]:
    """16 hex digits of a domain and of a grammar, whatever their blanks and a domain's comments."""
    return _identity(re.sub(r";[^\n]*", "", rules.domain).lower()), _identity(rules.grammar)


def _identity(text: str) -> str:
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]
