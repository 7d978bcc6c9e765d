r"""Files in the format of xlam-function-calling-60k: one query, its tools and its calls a row.

    {"query": "...", "tools": "[{\"name\": .., \"description\": .., \"parameters\": {..}}]",
     "answers": "[{\"name\": .., \"arguments\": {..}}]"}

`tools` and `answers` are JSON inside of JSON. A file is JSONL or one JSON list. Parameters are
`{name: {type, description, default}}` with Python's names of types, or a JSON schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentrl.errors import DataError

TYPES = {
    **{"str": "string", "int": "integer", "float": "number", "bool": "boolean"},
    **{"list": "array", "tuple": "array", "set": "array", "dict": "object"},
}
WORDS: dict[type, str] = {list: "a list", dict: "an object"}
WORD = re.compile(r"[a-z]+")


def read(path: str) -> list[dict[str, Any]]:
    """The rows of a file as `{"query", "tools", "calls"}`; tools as schemas of functions.

    Raises:
        DataError: no such file, or a row that is not what it should be, with its number.
    """
    found = [row(record, f"{path}, row {number}") for number, record in enumerate(records(path), 1)]
    if not found:
        raise DataError(f"{path} holds no row: give a file in the format of xlam-function-calling")
    return found


def records(path: str) -> Iterator[Any]:
    """Whatever JSON values a file holds, one after the other. Raises: DataError."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:  # a path is anybody's words
        raise DataError(f"cannot read {path}: {error}") from None
    if text.lstrip().startswith("["):
        yield from parsed(text, path, list)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield parsed(line, f"{path}, line {number}", dict)


def row(record: Any, where: str) -> dict[str, Any]:
    """One record as a row. Raises: DataError."""
    if not isinstance(record, dict) or not isinstance(record.get("query"), str):
        raise DataError(f"{where} has no query: expected an object with query, tools and answers")
    tools = [schema(one, where) for one in listed(record, "tools", where)]
    calls = [call(one, where) for one in listed(record, "answers", where)]
    names = {tool["name"] for tool in tools}
    if not calls:
        raise DataError(f"{where} has no call in answers: leave such rows out of the file")
    for name, _ in calls:
        if name not in names:
            raise DataError(f"{where}: answers call {name!r}, which is none of {sorted(names)}")
    return {"query": record["query"], "tools": tools, "calls": calls}


def listed(record: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
    """A list that is written as JSON text, or as it is. Raises: DataError."""
    value = record.get(key)
    found = parsed(value, f"{where}, {key}", list) if isinstance(value, str) else value
    if not isinstance(found, list):
        raise DataError(f"{where}: {key} is {value!r:.40}, expected a list in JSON")
    return found


def schema(tool: Any, where: str) -> dict[str, Any]:
    """A tool as the schema of a function. Raises: DataError."""
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        raise DataError(f"{where}: the tool {tool!r:.60} has no name")
    told = tool.get("parameters") or {}
    if not isinstance(told, dict):
        raise DataError(f"{where}: parameters of {tool['name']} are {told!r:.60}, not an object")
    if isinstance(told.get("properties"), dict):
        parameters = told
    else:
        fields = {name: field(one, f"{where}, {name}") for name, one in told.items()}
        needed = [name for name, one in told.items() if not optional(one)]
        parameters = {"type": "object", "properties": fields, "required": needed}
    described = str(tool.get("description", ""))
    return {"name": tool["name"], "description": described, "parameters": parameters}


def field(parameter: Any, where: str) -> dict[str, Any]:
    """A parameter as a field of a JSON schema. Raises: DataError."""
    if not isinstance(parameter, dict):
        raise DataError(f"{where}: the parameter is {parameter!r:.60}, expected an object")
    word = WORD.match(str(parameter.get("type", "")).lower())
    known = TYPES.get(word.group(), "") if word else ""
    kept = {key: parameter[key] for key in ("description", "default") if key in parameter}
    return {**({"type": known} if known else {}), **kept}


def optional(parameter: Mapping[str, Any]) -> bool:
    """Whether an argument may be left out."""
    return "default" in parameter or "optional" in str(parameter.get("type", "")).lower()


def call(answer: Any, where: str) -> list[Any]:
    """A call as `[name, arguments]`. Raises: DataError."""
    arguments = answer.get("arguments") if isinstance(answer, dict) else None
    if not isinstance(arguments, dict) or not isinstance(answer.get("name"), str):
        raise DataError(f"{where}: the answer {answer!r:.60} is no call with name and arguments")
    return [answer["name"], arguments]


def parsed(text: str, where: str, kind: type) -> Any:
    """A JSON value of this kind. Raises: DataError."""
    try:
        found = json.loads(text, parse_constant=refused)
    except (ValueError, RecursionError) as error:  # whatever a file may hold
        raise DataError(f"{where} is no JSON: {error}") from None
    if not isinstance(found, kind):
        raise DataError(f"{where} is {text!r:.40}, expected {WORDS[kind]}")
    return found


def refused(constant: str) -> Any:
    """Refuses what is no JSON though Python reads it. Raises: ValueError."""
    raise ValueError(f"{constant} is no JSON value")
