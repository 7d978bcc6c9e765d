"""Whether the last text of a user's turn is what it should be, by rule.

    done      any words, but neither a refusal nor a question for something that was said
    answer    the value, and none of the values of its kind that would be wrong
    ask       a question, or a request to be told, that names the missing thing; a text that asks
              for more than two other things as well asks for everything, which is no question
    decline   words of not being able to, and no question for something that was said

Half of a text at least has to be letters and digits, and no part of it the ruins of a call. Only
texts without calls are judged here; what calls changed is the state's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

THINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "person": ("who", "whom", "whose", "person", "recipient", "contact", "name", "sender"),
        "text": ("say", "text", "message", "content", "contents", "write", "body"),
        "phone": ("number", "phone"),
        "day": ("day", "date", "when"),
        "hour": ("hour", "time", "when"),
        "folder": ("folder", "where", "directory", "destination"),
        "file": ("file", "document"),
        "new_name": ("name", "call", "called"),
        "title": ("title", "event", "called"),
    }
)
"""What may be missing -> words that name it."""
QUESTIONS: Mapping[str, str] = MappingProxyType(
    {
        "person": "Who is it?",
        "text": "What should it say?",
        "phone": "Which number?",
        "day": "On which day?",
        "hour": "At what time?",
        "folder": "Which folder?",
        "file": "Which file?",
        "new_name": "What is its new name?",
        "title": "What is the title?",
    }
)
"""How the players ask."""
DONE, DECLINED = "Done.", "Sorry, I cannot do that."
"""How the players say so."""

MAX_CHARS = 2000
"""Of a closing text that is looked at; a longer one is no answer to anything."""
MAX_OTHERS = 2
"""Other things that a question may ask for as well."""
SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]?")
TOLD = re.compile(
    r"\?|\b(?:please|tell me|let me know|specify|provide|need to know|could you|clarify)\b", re.I
)
INTERROGATIVE = re.compile(
    r"\b(?:which|what|who|whom|whose|where|when)\b[^?]*\?|\bplease (?:tell|specify|provide)", re.I
)
CALLING = re.compile(r"\w\(\s*\w*\s*=|\w\(\s*[\"')]|tool_call|\"(?:arguments|parameters)\"")
"""What is left of a call that was not written well enough to be one."""
UNABLE = re.compile(
    r"\b(?:cannot|can not|can['\u2019]?t|could ?n['\u2019]?t|could not|unable|not able|impossible|"
    r"(?:is not|is ?n['\u2019]?t) (?:possible|something i can))\b",
    re.I,
)
LACKING = re.compile(
    r"\b(?:no|without an?|lack an?|do(?:es)? (?:not|n['\u2019]?t) have (?:an?|any|the)|"
    r"do(?:es)?n['\u2019]?t have (?:an?|any|the)) "
    r"(?:\w+ )?(?:tool|function|way|means|access|ability)s?\b|"
    r"\bnot (?:available|supported|offered)\b|\bunavailable\b",
    re.I,
)


def fits(text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a closing text is what a turn wants: its `kind`, and what goes with the kind."""
    return wordy(text) and not CALLING.search(text) and JUDGES[wanted["kind"]](text, wanted)


def wordy(text: str) -> bool:
    """Whether a text is made of words, not too many."""
    marks = "".join(text.split())
    words = sum(mark.isalnum() for mark in marks)
    return 0 < len(text) <= MAX_CHARS and 2 * words >= len(marks) > 0


def is_done(text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a text can stand after work that is done."""
    return UNABLE.search(text) is None and not inquires(text)


def answers(text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a text holds the `value` and none of the `others`."""
    return mentions(text, wanted["value"]) and not any(
        mentions(text, other) for other in wanted["others"] if other not in wanted["value"]
    )


def asks_for(text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a text asks for the thing that is the `value`, and not for everything."""
    sentences = [s for s in SENTENCE.findall(text) if TOLD.search(s)]
    asked = [
        thing
        for thing, words in THINGS.items()
        if any(mentions(sentence, word) for sentence in sentences for word in words)
    ]
    return wanted["value"] in asked and len(asked) <= 1 + MAX_OTHERS


def refuses(text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a text says that it cannot be done, and leaves it at that."""
    return declines(text) and not inquires(text)


def declines(text: str) -> bool:
    """Whether a text has words of not being able to, or of no tool that could."""
    return UNABLE.search(text) is not None or LACKING.search(text) is not None


def inquires(text: str) -> bool:
    """Whether a text asks which, what, who, where or when about one of the things."""
    questions = [s for s in SENTENCE.findall(text) if INTERROGATIVE.search(s)]
    words = {word for named in THINGS.values() for word in named}
    return any(mentions(question, word) for question in questions for word in words)


def mentions(text: str, value: str) -> bool:
    """Whether the words of a value stand in a text, whatever the case and the spaces."""
    words: Sequence[str] = value.casefold().rstrip(".").split()
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)"
    return re.search(pattern, text.casefold()) is not None


JUDGES: Mapping[str, Callable[[str, Mapping[str, Any]], bool]] = MappingProxyType(
    {"done": is_done, "answer": answers, "ask": asks_for, "decline": refuses}
)
