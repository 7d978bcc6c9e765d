"""Who decides: the package's checkers, fed with calls that were parsed and run here.

A single turn is judged by its calls, without running them. In a conversation every user turn is
judged when it ends, as the package does it afterwards: the services must be in the state that the
gold calls of all turns so far bring about, and what the gold calls of this turn print must have
been printed. A user turn without gold calls is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.envs.bfcl.data import Entry
from agentrl.envs.bfcl.package import Verdict, check_calls, check_turn
from agentrl.envs.bfcl.services import Services
from agentrl.types import ToolCall

VALID: Verdict = {"valid": True}


def decoded(calls: Sequence[ToolCall]) -> list[dict[str, Mapping[str, Any]]]:
    """Calls as the package's checkers take them."""
    return [{call.name: dict(call.arguments)} for call in calls]


def judged(entry: Entry, calls: Sequence[ToolCall], dots: bool) -> Verdict:
    """What the package says of the calls of one text; `dots` is how they name functions.

    Relevance has no gold: there only whether a call was made counts, not which.
    """
    if "relevance" not in entry.category:
        return check_calls(entry.functions, decoded(calls), entry.gold, entry.category, dots)
    if bool(calls) is entry.wants_calls:
        return VALID
    if calls:
        reason = "Valid syntax. Successfully decode AST when it should not."
        kind = "irrelevance_error:decoder_success"
    else:
        reason = "Invalid syntax. Failed to decode AST when it should have. None"
        kind = "relevance_error:decoder_failed"
    return {"valid": False, "error": [reason], "error_type": kind}


class Trial:
    """One conversation as it is judged: the agent's services, and others that do the gold calls.

    Nothing that the agent reads comes from the latter.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.services = Services(entry)
        self.gold = Services(entry)
        self.turn = 0
        """User turns that ended."""
        self.made: list[ToolCall] = []
        """Calls in this user turn."""
        self.heard: list[str] = []
        """Results of all calls."""
        self.verdicts: list[Verdict] = []
        """Of the user turns that ended."""

    def run(self, calls: Sequence[ToolCall]) -> list[str]:
        """What calls print, in order."""
        results = [self.services.call(call) for call in calls]
        self.made += calls
        self.heard += results
        return results

    def wanted(self) -> list[ToolCall]:
        """The gold calls of this user turn."""
        return [self.gold.read(text) for text in self.entry.gold[self.turn]]

    def left(self) -> list[ToolCall]:
        """The gold calls of this user turn that were not made yet."""
        made = [(call.name, dict(call.arguments)) for call in self.made]
        left = []
        for call in self.wanted():
            if (call.name, dict(call.arguments)) in made:
                made.remove((call.name, dict(call.arguments)))
            else:
                left.append(call)
        return left

    def close(self) -> Verdict:
        """End a user turn, and judge it."""
        expected = [self.gold.call(call) for call in self.wanted()]
        verdict = VALID
        if expected and not self.made:
            verdict = {
                "valid": False,
                "error_message": f"Model response list is empty for turn {self.turn}",
                "error_type": "multi_turn:empty_turn_model_response",
            }
        elif expected:
            verdict = check_turn(
                self.services.instances, self.gold.instances, self.heard, expected, self.turn
            )
        self.verdicts.append(verdict)
        self.turn, self.made = self.turn + 1, []
        return verdict

    @property
    def over(self) -> bool:
        """Whether the last user turn ended."""
        return self.turn == len(self.entry.question)

    @property
    def verdict(self) -> Verdict:
        """Of the conversation: the first turn that failed, or that it was cut short."""
        if not self.over:
            reason = (
                "Model was force-terminated during inference phase. The length of the model "
                f"result turns ({self.turn}) does not match the length of the ground truth turns "
                f"({len(self.entry.gold)})."
            )
            kind = "multi_turn:force_terminated"
            return {"valid": False, "error_message": reason, "error_type": kind}
        return next((verdict for verdict in self.verdicts if not verdict["valid"]), VALID)
