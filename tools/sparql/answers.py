"""Bodies that endpoints send, read into a `Result`; terms as the embedded engine writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentrl.tools.sparql.result import MAX_TERM, Result, cut_term

XSD_STRING = "http://www.w3.org/2001/XMLSchema#string"
VIRTUOSO_ASK = "__ASK_RETVAL"
"""The column in which Virtuoso answers an ASK."""
ESCAPES = {
    **{code: f"\\u{code:04X}" for code in (*range(0x20), 0x7F)},
    **{ord(char): f"\\{name}" for char, name in zip('\b\t\n\f\r"\\', 'btnfr"\\', strict=True)},
}
GRAPHS = {
    "application/n-triples": "nt",
    "text/plain": "nt",
    "text/turtle": "ttl",
    "application/x-turtle": "ttl",
    "application/rdf+xml": "rdf",
    "application/n-quads": "nq",
    "application/xml": "rdf",
    "text/xml": "rdf",
    "application/sparql-results+xml": "rdf",  # as rdflib's server calls it
}
"""Media types of CONSTRUCT and DESCRIBE, and the file suffix of the same format."""


def decoded(body: bytes, charset: str) -> str:
    """The text of a JSON body: UTF-8, whatever is declared; else what is declared.

    Raises:
        ValueError: neither fits.
    """
    wide = charset.lower().startswith(("utf-16", "utf-32"))
    for name in (charset, "utf-8-sig") if wide else ("utf-8-sig", charset):
        try:
            return body.decode(name or "utf-8")
        except (UnicodeDecodeError, LookupError):  # the next one may fit
            continue
    raise ValueError(f"its text is neither UTF-8 nor the declared charset {charset!r}")


def table(text: str, max_rows: int) -> Result:
    """The result of a SELECT or an ASK from its JSON.

    Raises:
        ValueError: it is no JSON, or no SPARQL result.
    """
    try:
        parsed = json.loads(text)
    except RecursionError as error:  # nothing of ours nests so deep
        raise ValueError("it nests too deep") from error
    if not isinstance(parsed, Mapping):
        raise ValueError(f"a SPARQL result is an object, not {type(parsed).__name__}")
    if isinstance(parsed.get("boolean"), bool):
        return Result(boolean=parsed["boolean"])
    try:
        names = _names(parsed["head"].get("vars", ()))
        bindings = parsed["results"]["bindings"]
        rows = [_row(binding, names) for binding in bindings[:max_rows]]
    except (KeyError, TypeError, AttributeError) as error:  # some field is of another kind
        raise ValueError(f"it is no SPARQL result: {error!r}") from error
    if names == (VIRTUOSO_ASK,):
        return Result(boolean=any(not value.startswith('"0"') for (value,) in rows))
    return rows_result(names, rows, len(bindings))


def head(text: str, max_rows: int) -> Result:
    """The first rows of a SELECT whose JSON breaks off; no rows where even they are missing."""
    decoder = json.JSONDecoder()
    rows: list[tuple[str, ...]] = []
    try:
        names = _names(decoder.raw_decode(text, text.index("{", text.index('"head"')))[0]["vars"])
        place = text.index("[", text.index('"bindings"')) + 1
        while len(rows) < max_rows:
            binding, place = decoder.raw_decode(text, text.index("{", place))
            rows.append(_row(binding, names))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # it breaks off
        pass
    return rows_result(names, rows, len(rows) + 1) if rows else Result()


def graph(body: bytes, media: str, max_rows: int) -> Result:
    """The triples of a CONSTRUCT or a DESCRIBE.

    Raises:
        ValueError: it is no RDF of that media type.
    """
    import pyoxigraph

    if media not in GRAPHS:
        raise ValueError(f"triples came as {media or 'nothing'!r}, not as {', '.join(GRAPHS)}")
    form = pyoxigraph.RdfFormat.from_extension(GRAPHS[media])
    try:
        quads = list(pyoxigraph.parse(body, form))
    except SyntaxError as error:  # the parser's way to say so
        raise ValueError(str(error)) from error
    triples = ((quad.subject, quad.predicate, quad.object) for quad in quads[:max_rows])
    rows = [tuple(cut_term(str(term)) for term in triple) for triple in triples]
    return rows_result(("subject", "predicate", "object"), rows, len(quads))


def rows_result(names: Sequence[str], rows: Iterable[Sequence[str]], total: int) -> Result:
    """Rows of `total`, with blank nodes named in the order in which they occur."""
    kept = named_blanks(rows)
    return Result(
        variables=tuple(names), rows=kept, more=total > len(kept), total=total, counted=total
    )


def named_blanks(rows: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Rows whose blank nodes are `_:b0`, `_:b1`...: engines label them anew at every start."""
    labels: dict[str, str] = {}
    return tuple(
        tuple(labels.setdefault(t, f"_:b{len(labels)}") if t.startswith("_:") else t for t in row)
        for row in rows
    )


def term(value: Mapping[str, Any]) -> str:
    """One JSON term in N-Triples notation.

    Raises:
        ValueError: no such kind of term.
    """
    kind, text = value["type"], value["value"]
    if kind == "triple":
        parts = (term(text[name]) for name in ("subject", "predicate", "object"))
        return cut_term(f"<<( {' '.join(parts)} )>>")
    if not isinstance(text, str):
        raise ValueError(f"the value of a term is {text!r}")
    if kind == "uri":
        return cut_term(f"<{text}>")
    if kind == "bnode":
        return f"_:{text.removeprefix('_:')}"
    if kind not in ("literal", "typed-literal"):
        raise ValueError(f"unknown kind of term {kind!r}")
    quoted = f'"{text[: MAX_TERM + 1].translate(ESCAPES)}"'
    if "xml:lang" in value:
        quoted += f"@{value['xml:lang']}".lower()
    elif value.get("datatype", XSD_STRING) != XSD_STRING:
        quoted += f"^^<{value['datatype']}>"
    return cut_term(quoted)


def _names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the names of its variables are {names!r}"[:200])
    return tuple(names)


def _row(binding: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(term(binding[name]) if binding.get(name) else "" for name in names)
