"""What a chat template does with every feature that conversations have, found out by trying."""

from __future__ import annotations

from typing import NamedTuple

from agentrl.certify.conversations import (
    SHAPES,
    TOOLS,
    Act,
    Repertoire,
    Script,
    Shape,
    written_calls,
)
from agentrl.certify.exactness import case
from agentrl.certify.hops import divergence
from agentrl.certify.witness import play
from agentrl.chat import TemplateChat
from agentrl.types import Message, ToolCall

ASKED = "How are you?"
NEXT = (Message("user", "And what now?"),)
LAST = (Act("Well.", NEXT), Act("Bye."))
"""How every probe goes on: what a template rewrites, it may rewrite only later."""
THOUGHT = "<think>\nhm\n</think>\n\n"
IDS = ("a1b2c3d4e", "f5g6h7i8j")


class Feature(NamedTuple):
    """What a template does with one feature of conversations, and what the library does then."""

    name: str
    template: str
    """`appends`, `rewrites` (with where), or `refuses` (with its words)."""
    library: str
    """What a conversation does."""


def probes(chat: TemplateChat) -> dict[str, Script]:
    """One conversation for every feature; those with calls only where the model writes calls."""
    control = chat.template.spelling(chat.end_id)
    acts = {
        "several turns": Act("Hello.", NEXT),
        "thinking": Act(f"{THOUGHT}Hello.", NEXT),
        "cut turn": Act("I was going to say", NEXT, closed=False),
        "empty turn": Act("", NEXT),
    }
    return {
        **{name: Script(ASKED, (act, *LAST)) for name, act in acts.items()},
        "system role": Script(ASKED, LAST, "Be brief."),
        "control token in environment text": Script(f"{control} is an end.", LAST),
        **_probes_with_calls(chat),
    }


def _probes_with_calls(chat: TemplateChat) -> dict[str, Script]:
    name, parameter = shape_of(chat)
    calls = [ToolCall(name, {parameter: f"rain {number}"}, number) for number in IDS]
    once, both = (written_calls(chat.calls, calls[:count]) for count in (1, 2))
    if not once:
        return {}
    wet = tuple(Message("tool", "wet", name=call.name, call=call.id) for call in calls)
    acts = {
        "tools listed": (),
        "tool call": (Act(once, wet[:1]),),
        "text beside a call": (Act(f"Let me look.\n{once}", wet[:1]),),
        "thinking before a call": (Act(f"{THOUGHT}{once}", wet[:1]),),
        "parallel calls": (Act(both, wet),),
        "question behind a result": (Act(once, (*wet[:1], *NEXT)),),
        "malformed call": (Act(once[: len(once) // 2], NEXT),),
        "result for a malformed call": (Act(once[: len(once) // 2], wet[:1]),),
    }
    return {name: Script(ASKED, (*first, *LAST), "", TOOLS) for name, first in acts.items()}


def shape_of(chat: TemplateChat) -> Shape:
    """The first shape of calls that the model's format can write."""
    for shape in SHAPES:
        if written_calls(chat.calls, [ToolCall(shape.name, {shape.parameter: "rain"}, IDS[0])]):
            return shape
    return SHAPES[0]


def explored(chat: TemplateChat) -> tuple[tuple[Feature, ...], Repertoire]:
    """Every feature, tried once, and the repertoire of all that the template accepts."""
    scripts = probes(chat)
    features = [_tried(chat, name, script) for name, script in scripts.items()]
    able = {feature.name for feature in features if not feature.template.startswith("refuses")}
    if "tool call" not in scripts:
        features.append(Feature("tool call", "has no format for them", "keeps them as plain text"))
    marks = tuple(chat.template.spelling(token) for token in sorted(chat.template.special))
    return tuple(features), Repertoire(
        calls=chat.calls,
        shape=shape_of(chat),
        system="system role" in able,
        tools="tool call" in able,
        parallel="parallel calls" in able,
        questions="question behind a result" in able,
        corrected="result for a malformed call" in able,
        controls=marks,
    )


def _tried(chat: TemplateChat, name: str, script: Script) -> Feature:
    (played,) = play(chat, [script])
    if played.refused:
        return Feature(name, f"refuses: {played.trajectory.error}", "fails with these words")
    seen = case(chat, played, exact=True)
    template = "refuses the whole"
    if seen.rendered:
        rewritten = next((hop for hop in seen.hops if hop.rewritten), None)
        template = "appends" if rewritten is None else f"rewrites: {divergence(rewritten)}"
    forks = played.dialogues[-1].forks
    if not forks:
        return Feature(name, template, "appends")
    library = f"forks into {forks + 1} samples; every token is trained where it was sampled"
    return Feature(name, template, library)
