"""Assistant text -> what it asks for, what it answers and how it is written.

A parser never raises and never invents: it answers OK, NO_CALL or MALFORMED. Readers of answers
find what stands in tags, boxes and JSON, and None where nothing does. All take linear time.
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from agentrl.types import Parse

BOX = "\\boxed{"
BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
ARITHMETIC = re.compile(r"[\d.+\-*/() ]{1,256}", re.ASCII)
"""What a sum may be written with, and no longer than Python's parser recurses well."""
HINGE = re.compile(r"</think>\s*<answer>")


class Parsed(NamedTuple):
    """What a parser found."""

    status: Parse
    name: str = ""
    """The tag or tool that was called."""
    value: str = ""
    """Its content."""
    reason: str = ""
    """Why it is malformed, and where."""


def tagged(text: str, *names: str) -> Parsed:
    """The first `<name>content</name>` among `names`.

    NO_CALL when none of the tags opens; MALFORMED when one opens and never closes, or is empty.
    """
    opened = re.search("<(" + "|".join(map(re.escape, names)) + ")>", text)
    if opened is None:
        return Parsed(Parse.NO_CALL, reason="no " + " or ".join(f"<{name}>" for name in names))
    name, start = opened.group(1), opened.end()
    end = text.find(f"</{name}>", start)
    if end < 0:
        return Parsed(
            Parse.MALFORMED, name, reason=f"<{name}> at character {opened.start()} is not closed"
        )
    value = text[start:end].strip()
    if not value:
        return Parsed(
            Parse.MALFORMED, name, reason=f"<{name}> at character {opened.start()} is empty"
        )
    return Parsed(Parse.OK, name, value)


def blocks(text: str, name: str) -> list[str]:
    """The contents of every closed `<name>content</name>`, in order, as they stand."""
    opening, closing = f"<{name}>", f"</{name}>"
    found, start = [], text.find(opening)
    while start >= 0:
        end = text.find(closing, start)
        if end < 0:
            break
        found.append(text[start + len(opening) : end])
        start = text.find(opening, end)
    return found


def boxes(text: str) -> list[str | None]:
    r"""The contents of every outermost `\boxed{content}`, braces balanced.

    One that never closes holds all the rest of the text: it is the last, and None.
    """
    found: list[str | None] = []
    start = text.find(BOX)
    while start >= 0:
        begin = start + len(BOX)
        end = closing_brace(text, begin)
        found.append(None if end < 0 else text[begin:end])
        start = text.find(BOX, end) if end >= 0 else -1
    return found


def closing_brace(text: str, start: int) -> int:
    """Where the brace that is open at `start` closes, -1 if nowhere; escaped braces don't count."""
    depth = 1
    for brace in BRACES.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return -1


def answer_in(text: str, read: str) -> str | None:
    """What a text gives as its answer, stripped; None if nothing or an empty one.

    `read` is where it stands: `text` is all of it, `boxed` the last box, anything else the last
    closed tag of that name.
    """
    if read == "text":
        found: str | None = text
    else:
        found = next(reversed(boxes(text) if read == "boxed" else blocks(text, read)), None)
    return (found or "").strip() or None


def thinks_then_answers(text: str) -> bool:
    """Whether a text is a `<think>` block, white space and an `<answer>` block, and nothing else.

    The thought may be empty.
    """
    opening, closing = "<think>", "</answer>"
    whole = text.startswith(opening) and text.endswith(closing)
    inside = text[len(opening) : len(text) - len(closing)]
    return whole and HINGE.search(inside) is not None


class Arithmetic(NamedTuple):
    """A sum that was worked out."""

    numbers: tuple[Fraction, ...]
    """The numbers in it, from left to right."""
    value: Fraction


def arithmetic(text: str) -> Arithmetic | None:
    """What a text is worth that holds only numbers, `+ - * /` and parentheses; exact.

    None for anything else: other syntax, a sign before a number, a division by zero.
    """
    if ARITHMETIC.fullmatch(text) is None:
        return None
    try:
        return worked_out(ast.parse(text.strip(), mode="eval").body)
    # a parser of untrusted text fails in many ways, and all of them mean: no sum
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def worked_out(node: ast.expr) -> Arithmetic:
    """The value of a node. Raises: ValueError for what is no sum, ZeroDivisionError."""
    if isinstance(node, ast.Constant):
        value = Fraction(str(node.value))
        return Arithmetic((value,), value)
    if not isinstance(node, ast.BinOp) or type(node.op) not in OPERATORS:
        raise ValueError(f"{type(node).__name__} is no sum")
    left, right = worked_out(node.left), worked_out(node.right)
    value = OPERATORS[type(node.op)](left.value, right.value)
    return Arithmetic(left.numbers + right.numbers, value)


def number(value: Any) -> float:
    """A value as a number, nan for none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):  # anything may stand in a reply
        return math.nan


def json_object(text: str) -> dict[str, Any]:
    """The object that a text is in JSON, empty for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # a reply may be any text, nested at will
        return {}
    return found if isinstance(found, dict) else {}


def json_list(text: str) -> list[Any] | None:
    """The list that a text is in JSON, None for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # a reply may be any text, nested at will
        return None
    return found if isinstance(found, list) else None


def unigram_bleu(text: str, references: Sequence[str]) -> float:
    """BLEU-1 in [0, 1] against the best of the references: clipped precision times brevity."""
    words = text.split()
    if not words:
        return 0.0
    best = 0.0
    for wanted in (reference.split() for reference in references):
        matched = (Counter(words) & Counter(wanted)).total() / len(words)
        best = max(best, matched * min(1.0, math.exp(1 - len(wanted) / len(words))))
    return best


def repeated_share(text: str, size: int) -> float:
    """The share of places where `size` words are followed by the same `size` words, in [0, 1]."""
    words = text.split()
    places = range(len(words) - 2 * size + 1)
    same = sum(words[i : i + size] == words[i + size : i + 2 * size] for i in places)
    return same / max(1, len(places))
