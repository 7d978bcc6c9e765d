r"""JSON and Python literals where they stand in a text, read strictly, with the place of each flaw.

`json.loads` keeps the last of two equal keys, takes NaN, and nests as deep as the interpreter's
stack. `ast.parse` fails on `"\d"` where warnings are errors, refuses parameters named `from`, and
depends on Python's version. Both are told from the same reader here: brackets, commas and keys are
read by it, strings and numbers by the dialect.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

DEPTH = 64
"""Brackets that may be open at once."""
DIGITS = 640
"""Characters of one number: what Python converts under every setting of its own limit."""

SPACE = re.compile(r"[ \t\r\n]*+")
JSON_FLAWS = {
    "Unterminated": "a string is not closed",
    "Invalid control": "a raw control character in a string",
    "Invalid \\": "a bad escape in a string",
}
"""Beginnings of the standard library's messages, which differ between versions -> ours."""
STRINGS = {
    quote: re.compile(rf"({body}){quote}", re.DOTALL)
    for quote, body in (
        ('"""', r'[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*'),
        ("'''", r"[^'\\]*+(?:(?:\\.|'(?!''))[^'\\]*+)*"),
        ('"', r'[^"\\\r\n]*+(?:\\.[^"\\\r\n]*+)*+'),
        ("'", r"[^'\\\r\n]*+(?:\\.[^'\\\r\n]*+)*+"),
    )
}
"""Python's quotes, the longer ones first, and what follows them; linear, for no part can be read in
two ways. Groups with a lookahead are not possessive: Python 3.11.2 never matches those."""
ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
ESCAPED = {
    **{"\n": "", "\\": "\\", "'": "'", '"': '"'},
    **{"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"},
}
NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?", re.ASCII)
WORD = re.compile(r"[^\W\d]\w*+")
CONSTANTS = {"True": True, "False": False, "None": None}


class MalformedError(Exception):
    """A text that cannot be read on from `position`; the format turns it into MALFORMED."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(why)
        self.position = position


class Member(NamedTuple):
    """The value of a key, and the character at which it begins."""

    position: int
    value: Any


class Reader:
    """A cursor over a text: reads what stands there and moves behind it.

    Every reading method raises MalformedError where something else stands.
    """

    trailing_comma = False

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at

    def skip(self) -> int:
        """Move over white space; where the cursor then stands."""
        space = SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at
        return self.at

    def taken(self, token: str) -> bool:
        """Whether `token` follows, after white space; if so the cursor moves behind it."""
        if not self.text.startswith(token, self.skip()):
            return False
        self.at += len(token)
        return True

    def take(self, token: str, other: str = "") -> None:
        """Move behind `token`; `other` says in the error what may stand there too."""
        if not self.taken(token):
            raise self.expected(f"{token!r} or {other}" if other else repr(token))

    def ended(self) -> bool:
        """Whether nothing but white space follows."""
        return self.skip() == len(self.text)

    def expected(self, what: str) -> MalformedError:
        """The error for something else than `what` at the cursor."""
        found = repr(self.text[self.at]) if self.at < len(self.text) else "the end"
        return MalformedError(self.at, f"expected {what}, found {found}")

    def series(self, closing: str) -> Iterator[None]:
        """Stop before each comma-separated item, which the caller reads; ends behind `closing`."""
        if self.taken(closing):
            return
        while True:
            self.skip()
            yield
            if self.taken(closing):
                return
            self.take(",", repr(closing))
            if self.trailing_comma and self.taken(closing):
                return

    def value(self, depth: int = 0) -> Any:
        """The literal at the cursor; `depth` brackets are open around it."""
        start = self.skip()
        if self.text.startswith(("{", "["), start) and depth >= DEPTH:
            raise MalformedError(start, f"nested deeper than {DEPTH} brackets")
        if self.text.startswith("{", start):
            return self.mapping(depth)
        if self.taken("["):
            return [self.value(depth + 1) for _ in self.series("]")]
        return self.scalar()

    def mapping(self, depth: int = 0) -> dict[str, Any]:
        """The object at the cursor."""
        return {key: member.value for key, member in self.members(depth).items()}

    def members(self, depth: int = 0) -> dict[str, Member]:
        """The object at the cursor with the place of each value."""
        if not self.taken("{"):
            raise self.expected("an object")
        found: dict[str, Member] = {}
        for _ in self.series("}"):
            at, key = self.at, self.string()
            if key in found:
                raise MalformedError(at, f"duplicate key {shown(key)}")
            self.take(":")
            found[key] = Member(self.skip(), self.value(depth + 1))
        return found

    def string(self) -> str:
        """The string at the cursor."""
        raise NotImplementedError

    def scalar(self) -> Any:
        """The string, number or constant at the cursor."""
        raise NotImplementedError


class Json(Reader):
    """Literals as JSON writes them."""

    def string(self) -> str:
        """The string at the cursor."""
        if not self.text.startswith('"', self.at):
            raise self.expected("'\"'")
        return str(self.scalar())

    def scalar(self) -> Any:
        """The string, number or constant at the cursor."""
        start = self.at
        try:
            value, self.at = DECODER.raw_decode(self.text, start)
        except json.JSONDecodeError as error:  # the standard library's words, put into ours
            for beginning, why in JSON_FLAWS.items():
                if error.msg.startswith(beginning):
                    raise MalformedError(error.pos, why) from None
            raise self.expected("a value") from None
        except ValueError as error:  # what `number` and `constant` refuse
            raise MalformedError(start, str(error)) from None
        return whole(value, start) if isinstance(value, str) else value


class Python(Reader):
    """Literals as Python writes them: what JSON can hold, nothing that has to be evaluated."""

    trailing_comma = True

    def string(self) -> str:
        """The string at the cursor; an unknown escape keeps its backslash, as in Python."""
        for quote, pattern in STRINGS.items():
            if self.text.startswith(quote, self.at):
                start = self.at
                closed = pattern.match(self.text, start + len(quote))
                if closed is None:
                    raise MalformedError(start, "a string is not closed")
                self.at = closed.end()
                return whole(unescaped(closed.group(1), closed.start()), start)
        raise self.expected("a string")

    def scalar(self) -> Any:
        """The string, number or constant at the cursor."""
        start = self.at
        if self.text.startswith(("'", '"'), start):
            return self.string()
        if found := NUMBER.match(self.text, start):
            self.at = found.end()
            try:
                return number(found.group())
            except ValueError as error:  # too long, infinite, or an integer such as 007
                raise MalformedError(start, str(error)) from None
        if found := WORD.match(self.text, start):
            if found.group() not in CONSTANTS:
                raise MalformedError(start, f"{shown(found.group())} is no literal")
            self.at = found.end()
            return CONSTANTS[found.group()]
        raise self.expected("a value")


def number(digits: str) -> int | float:
    """A number as it is written. Raises: ValueError for one that is not finite or too long."""
    if len(digits) > DIGITS:
        raise ValueError(f"a number of {len(digits)} characters, more than {DIGITS}")
    if digits.lstrip("+-").isdigit():
        if digits.lstrip("+-0") and digits.lstrip("+-").startswith("0"):
            raise ValueError(f"{shown(digits)} begins with a zero")
        return int(digits)
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{shown(digits)} is too large for a number")
    return value


def constant(name: str) -> Any:
    """Refuses what is no JSON though the standard library takes it: NaN, Infinity, -Infinity."""
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_int=number, parse_float=number, parse_constant=constant)


def unescaped(body: str, start: int) -> str:
    """What the inside of a Python string stands for; it begins at the character `start`."""

    def one(found: re.Match[str]) -> str:
        octal, *hexes, other = found.groups()
        code = int(octal, 8) if octal else int(next(filter(None, hexes), "0"), 16)
        if code > 0x10FFFF or other in ("x", "u", "U", "N"):
            raise MalformedError(start + found.start(), "a bad escape in a string")
        return ESCAPED.get(other, found.group()) if other else chr(code)

    return ESCAPE.sub(one, body)


def whole(text: str, start: int) -> str:
    """A string that can be encoded: half a surrogate pair would break whoever stores it."""
    try:
        text.encode()
    except UnicodeEncodeError:  # the only thing that UTF-8 cannot hold
        raise MalformedError(start, "half of a surrogate pair in a string") from None
    return text


def shown(text: str) -> str:
    """A text as an error shows it: quoted, and never long."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
