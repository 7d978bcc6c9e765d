"""What exact tokens mean, as checks on conversations that were played (`witness.py`).

Each check compares what the line made of a conversation with the template's own rendering of its
messages and with what the engine saw, and yields a complaint where they disagree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from agentrl.certify.hops import Hop, Renders
from agentrl.certify.witness import Played
from agentrl.chat import Dialogue, TemplateChat
from agentrl.errors import PolicyError
from agentrl.types import Ids, Message, Source, Span, join

BLANK = re.compile("[\\s\u2581]+")
"""What tokenizers of the SentencePiece kind add and lose."""
SEAM = 16
"""Characters of the template that tokens at the edges of one message's text may hold."""


class Case(NamedTuple):
    """A script that was played, and what its checks need."""

    chat: TemplateChat
    played: Played
    exact: bool
    """Whether the tokenizer gives texts back letter by letter."""
    hops: Sequence[Hop]

    @property
    def follows(self) -> bool:
        """Whether the chat does as the template does, as against `history="append"`."""
        return self.chat.append_only or not self.chat.appends

    @property
    def rendered(self) -> bool:
        """Whether the template renders all of the conversation."""
        return all(accepted(hop.text, len(hop.after.messages)) for hop in self.hops)

    def decode(self, ids: Ids) -> str:
        """Ids as text, control tokens and all."""
        return str(self.chat.tokenizer.decode(ids, skip_special_tokens=False))

    def plain(self, text: str) -> str:
        """A text without what this tokenizer cannot give back."""
        return text if self.exact else BLANK.sub("", text)

    def same(self, ids: Ids, text: str) -> bool:
        """Whether ids read as a text."""
        return self.plain(self.decode(ids)) == self.plain(text)

    def spelled(self, messages: Sequence[Message]) -> bool:
        """Whether the environment spells a control token."""
        marks = [self.chat.template.spelling(token) for token in self.chat.template.special]
        return any(mark in m.content for m in messages if m.role != "assistant" for mark in marks)


def case(chat: TemplateChat, played: Played, *, exact: bool) -> Case:
    """Look at a script that was played."""
    seen = played.dialogues
    triples = zip(seen, played.completions, seen[1:], strict=False)
    text = Renders(chat, seen[-1] if seen else Dialogue(messages=(), spans=()))
    return Case(chat, played, exact, [Hop(chat, *triple, text) for triple in triples])


def gives_back(chat: TemplateChat) -> bool:
    """Whether a tokenizer gives texts back letter by letter, pieces and edges included."""
    end = chat.template.spelling(chat.end_id)
    text = f"x {end}\n  y \n{end} z"
    pieces = [*chat.template.encode("x"), *chat.template.encode(text[1:])]
    return str(chat.tokenizer.decode(pieces, skip_special_tokens=False)) == text


# ---- the checks ---------------------------------------------------------------------------------

Check = Callable[[Case], Iterator[str]]
"""Complaints about one conversation; none where the property holds."""


def ledger(case: Case) -> Iterator[str]:
    """What the engine is given next is what it was given, what it sampled, and new tokens."""
    played = case.played
    for before, after in pairwise(played.dialogues):
        if after.messages[: len(before.messages)] != before.messages:
            yield "what was said before is not what it was"
    for given, dialogue in zip(played.contexts, played.dialogues, strict=False):
        if not np.array_equal(given, join(dialogue.spans)):
            yield "the engine was given other tokens than the dialogue holds"
    for given, turn in zip(played.contexts, played.trajectory.turns, strict=False):
        if not np.array_equal(given, join(turn.spans)):
            yield "a recorded context is not what the engine was given"
    for hop in case.hops:
        if not hop.forked and not np.array_equal(join(hop.after.spans)[: len(hop.kept)], hop.kept):
            yield f"after {hop.said.text!r} the context does not begin with what was sampled"


def forks(case: Case) -> Iterator[str]:
    """A conversation forks where the template rewrites history, and nowhere else.

    One that is told to append (`history="append"`) never does.
    """
    for hop in case.hops:
        if hop.forked != (hop.rewritten and case.follows):
            does = "rewrites" if hop.rewritten else "keeps"
            forked = "forked" if hop.forked else "did not fork"
            yield f"after {hop.said.text!r} the template {does} history and the dialogue {forked}"


def rendering(case: Case) -> Iterator[str]:
    """The ledger reads as the template's rendering, where turns are said as it writes them."""
    verbatim = True
    for hop in case.hops:
        verbatim = hop.forked or (verbatim and hop.verbatim and hop.ended)
        if verbatim and not case.same(join(hop.after.spans), hop.whole):
            yield f"the ledger reads {case.decode(join(hop.after.spans))!r}, not {hop.whole!r}"


def boundary(case: Case) -> Iterator[str]:
    """New tokens are those of the whole conversation, and of the end token with what follows."""
    encode = case.chat.template.encode
    for hop in case.hops:
        if hop.rewritten and not hop.forked:
            continue  # `forks` complains
        text, found = hop.added, hop.delta
        if case.spelled(hop.after.messages if hop.forked else hop.replies):
            if not case.same(found, text):
                yield f"behind {hop.said.text!r} stands {case.decode(found)!r}, not {text!r}"
            continue
        end = case.chat.template.spelling(case.chat.end_id)
        alone = encode(text) if hop.forked else encode(end + text)[1:]
        if not np.array_equal(found, alone):
            yield f"the tokens of {text!r} are {found.tolist()}, and {alone.tolist()} behind an end"
        whole = encode(hop.whole)
        if not np.array_equal(found, whole[len(whole) - len(found) :]):
            yield f"the tokens of {text!r} are others in the whole conversation"


def environment(case: Case) -> Iterator[str]:
    """Environment text stands in environment spans, and little else does."""
    steps = [(case.played.dialogues[0].spans, case.played.dialogues[0].messages, True)]
    steps += [(hop.fresh, hop.replies, not hop.forked) for hop in case.hops]
    for spans, messages, alone in steps:
        text = case.plain(case.decode(written_by(Source.ENV, spans)))
        wrote = [m.content for m in messages if m.content.strip()]
        ways = [[form for form in map(case.plain, forms(each)) if form in text] for each in wrote]
        if not (in_order(text, ways) if alone else all(ways)):
            yield f"{wrote!r} is not in the environment's {text!r}"
        elif alone and len(text) > sum(max(map(len, way)) for way in ways) + SEAM * len(messages):
            yield f"{text!r} holds more than what the environment wrote"


def controls(case: Case) -> Iterator[str]:
    """No token that the environment wrote is a control token."""
    for spans in [case.played.dialogues[0].spans, *(hop.fresh for hop in case.hops)]:
        wrong = set(written_by(Source.ENV, spans).tolist()) & case.chat.template.special
        if wrong:
            names = [case.chat.template.spelling(token) for token in wrong]
            yield f"the environment wrote {', '.join(map(repr, sorted(names)))}"


def refusals(case: Case) -> Iterator[str]:
    """A conversation is refused exactly where the template refuses its messages."""
    played = case.played
    if not played.refused:
        if case.follows and not case.rendered:
            yield "the template refuses the conversation, and it went on"
        return
    if any(accepted(Renders(case.chat, whole), len(whole.messages)) for whole in wanted(case)):
        yield f"the template accepts it, and it ended with: {played.trajectory.error}"


def wanted(case: Case) -> list[Dialogue]:
    """What a conversation that was refused would have become: its turn as calls, or as it is."""
    played = case.played
    if not played.dialogues:
        histories = [played.script.opening]
    else:
        replies = played.script.acts[len(played.completions) - 1].replies
        text = played.completions[-1].text
        turns = (case.chat.said(text, replies), Message("assistant", text))
        histories = [(*played.dialogues[-1].messages, turn, *replies) for turn in turns]
    return [Dialogue(messages=h, spans=(), tools=played.script.tools) for h in histories]


CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (ledger, controls, environment, refusals, forks, rendering, boundary)
}
BESIDE = ("forks", "rendering", "boundary")
"""Those that look at the template's rendering of the whole conversation."""


def complaints(case: Case) -> dict[str, str]:
    """The first complaint of every check that has one."""
    skipped: tuple[str, ...] = () if case.rendered else BESIDE
    if not case.played.dialogues:
        skipped = tuple(CHECKS.keys() - {"refusals"})
    checks = {name: check for name, check in CHECKS.items() if name not in skipped}
    found = {name: next(check(case), "") for name, check in checks.items()}
    return {name: complaint for name, complaint in found.items() if complaint}


def accepted(text: Renders, count: int) -> bool:
    """Whether the template renders the first `count` messages."""
    try:
        text(count)
    except PolicyError:  # a template says what it cannot write by raising
        return False
    return True


def written_by(source: Source, spans: Sequence[Span]) -> Ids:
    """The tokens of one source."""
    return join(tuple(span for span in spans if span.source is source))


def in_order(text: str, ways: Sequence[Sequence[str]], start: int = 0) -> bool:
    """Whether a text holds one form of each content, one behind the other."""
    if not ways:
        return True
    found = [(text.find(form, start), len(form)) for form in ways[0]]
    return any(at >= 0 and in_order(text, ways[1:], at + size) for at, size in found)


def forms(content: str) -> list[str]:
    """How templates write a text: as it stands, trimmed, or as a JSON string."""
    quoted = [json.dumps(content, ensure_ascii=strict)[1:-1] for strict in (False, True)]
    return [content, content.strip(), content.lstrip(), content.rstrip(), *quoted]
