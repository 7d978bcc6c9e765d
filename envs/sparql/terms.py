"""RDF terms as answers: N-Triples and SPARQL's JSON, and when two of them are the same answer.

Two terms are the same answer when their keys are equal:

    IRIs        character by character: http is not https, %C3%A9 is not é
    numbers     by value, whatever the numeric datatype: "+100"^^xsd:decimal is 100; so are years
    dates       by value; no time zone is UTC, and midnight is the day itself
    booleans    by value: "1" is true
    strings     by their characters; a language tag, as in the official scorer, does not count
    the rest    characters and datatype
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from agentrl.errors import DataError

XSD = "http://www.w3.org/2001/XMLSchema#"
INTEGERS = "integer int long short byte nonNegativeInteger positiveInteger nonPositiveInteger "
INTEGERS += "negativeInteger unsignedInt unsignedLong unsignedShort unsignedByte"
NUMERIC = {XSD + name for name in [*INTEGERS.split(), "decimal", "double", "float", "gYear"]}
"""Datatypes that are compared by value."""
DAYS = {XSD + name for name in ("date", "dateTime", "dateTimeStamp")}
DATES = DAYS | {XSD + name for name in ("time", "gYear", "gYearMonth", "gMonth", "gMonthDay")}

IRI = r"<([^<>\s]*)>"
TERM = re.compile(
    rf'{IRI}|"((?:[^"\\]|\\.)*)"(?:@([A-Za-z]+(?:-[A-Za-z0-9]+)*)|\^\^{IRI})?|_:(\S+)', re.DOTALL
)
ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([tbnrf\"'\\]))")
ESCAPED = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"}
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
NUMBER = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,6}))?", re.ASCII)
DAY = re.compile(
    r"\+?(-?\d{4,})-(\d\d)-(\d\d)(?:T(\d\d:\d\d:\d\d)(\.\d+)?)?"
    r"(?:Z|([+-])(\d\d):(\d\d))?",
    re.ASCII,
)
PLAIN_DIGITS = 40
"""Digits up to which a number's key is written out."""


class Term(NamedTuple):
    """An IRI, a literal or a blank node."""

    kind: str
    """`uri`, `literal` or `bnode`, as SPARQL's JSON says it."""
    value: str
    """The IRI, the lexical form or the label; without any escapes."""
    datatype: str = ""
    """IRI; empty for plain and language-tagged strings."""
    language: str = ""

    @property
    def text(self) -> str:
        """In N-Triples notation."""
        if self.kind == "uri":
            return f"<{self.value}>"
        if self.kind == "bnode":
            return f"_:{self.value}"
        tail = f"@{self.language}" if self.language else ""
        tail = f"^^<{self.datatype}>" if self.datatype else tail
        return '"' + "".join(ESCAPES.get(letter, letter) for letter in self.value) + '"' + tail

    @property
    def json(self) -> dict[str, str]:
        """As SPARQL's JSON results say it."""
        record = {"type": self.kind, "value": self.value}
        record |= {"xml:lang": self.language} if self.language else {}
        return record | ({"datatype": self.datatype} if self.datatype else {})

    @property
    def key(self) -> Term:
        """The one term that stands for all that are the same answer."""
        if self.kind != "literal":
            return self
        if not self.datatype or self.datatype == XSD + "string":
            return Term("literal", self.value)
        if self.datatype in NUMERIC:
            return number(self.value) or self
        if self.datatype in DAYS:
            return day(self.value) or self
        if self.datatype == XSD + "boolean" and self.value in {"0", "1"}:
            return truth(self.value == "1")
        return self


def truth(value: bool) -> Term:
    """A truth value as a term."""
    return Term("literal", str(value).lower(), XSD + "boolean")


def number(text: str) -> Term | None:
    """The key of a number, None for what is none (INF and NaN are not)."""
    found = NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, digits, exponent = Decimal(text).as_tuple()
    kept = "".join(map(str, digits)).lstrip("0")
    figures = kept.rstrip("0")
    power = int(exponent) + len(kept) - len(figures)
    minus = "-" if sign and figures else ""
    if not figures:
        return Term("literal", "0", XSD + "integer")
    if 0 <= power <= PLAIN_DIGITS:
        return Term("literal", minus + figures + "0" * power, XSD + "integer")
    if -PLAIN_DIGITS <= power < 0:
        padded = figures.rjust(1 - power, "0")
        return Term("literal", f"{minus}{padded[:power]}.{padded[power:]}", XSD + "decimal")
    return Term("literal", f"{minus}{figures}E{power}", XSD + "double")


def day(text: str) -> Term | None:
    """The key of a date or of a date with its time, None for what is neither."""
    found = DAY.fullmatch(text)
    if found is None:
        return None
    year, month, date, time, fraction, *zone = found.groups()
    fraction = (fraction or "").rstrip("0").rstrip(".")
    written = f"{year}-{month}-{date}"
    if zone[0] is not None and (zone[1], zone[2]) != ("00", "00"):
        moved = shifted(f"{written}T{time or '00:00:00'}", *zone) if time else None
        if moved is None:
            return None
        written, time = moved.split("T")
    if time in {None, "00:00:00"} and not fraction:
        return Term("literal", written, XSD + "date")
    return Term("literal", f"{written}T{time}{fraction}Z", XSD + "dateTime")


def shifted(text: str, sign: str, hours: str, minutes: str) -> str | None:
    """A time at an offset as UTC, None outside the years 1 to 9999."""
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        moment = datetime.fromisoformat(text)
        return (moment - offset if sign == "+" else moment + offset).isoformat()
    except (ValueError, OverflowError):  # 31 February, a year that Python has not
        return None


def term(text: str) -> Term:
    """A term from its N-Triples notation. Raises: DataError."""
    found = TERM.fullmatch(text)
    if found is None:
        raise DataError(f"{text!r:.80} is no RDF term: write it as N-Triples do")
    iri, literal, language, datatype, label = found.groups()
    if iri is not None:
        return Term("uri", unescaped(iri))
    if label is not None:
        return Term("bnode", label)
    return Term("literal", unescaped(literal), unescaped(datatype or ""), language or "")


def unescaped(text: str) -> str:
    r"""A text without N-Triples' escapes; `\d` and the like stay as they stand."""

    def letter(found: re.Match[str]) -> str:
        code = int(found[1] or found[2] or "0", 16)
        if found[3]:
            return ESCAPED.get(found[3], found[3])
        return chr(code) if code < 0x110000 else found[0]

    return ESCAPE.sub(letter, text) if "\\" in text else text


def term_of(record: Any) -> Term:
    """A term from SPARQL's JSON, `typed-literal` included. Raises: DataError."""
    if not isinstance(record, Mapping) or not isinstance(record.get("value"), (str, int, float)):
        raise DataError(f"{record!r:.80} is no term: it must hold type and value")
    kind, value = record.get("type"), str(record["value"])
    if kind in {"uri", "bnode"}:
        return Term(str(kind), value)
    if kind not in {"literal", "typed-literal"}:
        raise DataError(f"type={kind!r} is none of uri, literal, typed-literal, bnode")
    datatype, language = record.get("datatype") or "", record.get("xml:lang") or ""
    return Term("literal", value, str(datatype), "" if datatype else str(language))


def keys(texts: Iterable[str]) -> set[Term]:
    """The keys of terms in N-Triples notation. Raises: DataError."""
    return {term(text).key for text in texts}
