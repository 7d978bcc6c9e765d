"""`agentrl show algorithms|envs|configs|models`: what there is; `--json` for programs."""

from __future__ import annotations

import importlib
import inspect
import json as json_module
import re
from collections.abc import Callable
from typing import Any

import typer

from agentrl.algorithms.base import Part, parameters, type_name
from agentrl.errors import ConfigError, suggestion

Entry = dict[str, Any]


def show(what: str, name: str | None, *, json: bool) -> None:
    """List, or show one in full."""
    if what not in LISTS:
        raise ConfigError(f"cannot show {what!r}: {suggestion(what, list(LISTS))}")
    entries = LISTS[what]()
    if name is not None:
        known = [entry["name"] for entry in entries]
        entries = [entry for entry in entries if entry["name"] == name]
        if not entries:
            raise ConfigError(f"unknown name {name!r}: {suggestion(name, known)}")
    if json:
        typer.echo(json_module.dumps(entries, indent=2))
        return
    for entry in entries:
        typer.echo(_full(entry) if name else f"{entry['name']:<22} {entry['summary']}")


def _full(entry: Entry) -> str:
    lines = [f"{entry['name']}: {entry['summary']}"]
    lines += [f"{key}: {entry[key]}" for key in ("source", "tier", "text") if entry.get(key)]
    for parameter in entry["parameters"]:
        default = "required" if parameter["required"] else f"= {parameter['default']!r}"
        lines.append(f"  {parameter['name']}: {parameter['type']} {default}")
    return "\n".join(lines)


def algorithms() -> list[Entry]:
    """Every record with the arguments of its parts, as `slot.argument`."""
    from agentrl.algorithms import NAMES, algorithm

    entries = []
    for name, place in sorted(NAMES.items()):
        module = importlib.import_module(f"agentrl.algorithms.{place.partition(':')[0]}")
        document = inspect.getdoc(module) or ""
        entries.append(
            {
                "name": name,
                "source": _field(document, "Source"),
                "tier": _field(document, "Tier").rstrip("."),
                "summary": document.split("\n")[0],
                "parameters": [
                    entry
                    for slot, part in algorithm(name).parts.items()
                    for entry in _parameters(part.function, part, prefix=f"{slot}.")
                ],
            }
        )
    return entries


def envs() -> list[Entry]:
    """Every registered environment of ours."""
    from agentrl.env import env_class
    from agentrl.errors import AgentRLError

    registered: dict[str, str] = importlib.import_module("agentrl.envs").ENVIRONMENTS
    entries = []
    for name, place in sorted(registered.items()):
        try:
            kind = env_class(name)
        except (AgentRLError, ImportError) as error:
            entries.append(_entry(name, place, f"not installed: {error}", []))
            continue
        document = inspect.getdoc(kind) or ""
        entries.append(_entry(name, place, document.split("\n")[0], _parameters(kind)))
    return entries


def configs() -> list[Entry]:
    """Every shipped configuration; the summary is its first comment."""
    from importlib.resources import files

    found = [f for f in files("agentrl.configs").iterdir() if f.name.endswith(".yaml")]
    return [
        {
            **_entry(f.name.removesuffix(".yaml"), f.name, text.split("\n")[0].lstrip("# "), []),
            "text": "\n" + text,
        }
        for f, text in sorted(((f, f.read_text()) for f in found), key=lambda pair: pair[0].name)
    ]


def models() -> list[Entry]:
    """The two places a model comes from."""
    from agentrl.backends import load

    functions: dict[str, Callable[..., Any]] = {
        "tiny": load.tiny,
        "<folder or hub id>": load.pretrained,
    }
    return [
        _entry(
            name,
            f"agentrl.backends.load.{f.__name__}",
            (inspect.getdoc(f) or "").split("\n")[0],
            _parameters(f),
        )
        for name, f in functions.items()
    ]


LISTS: dict[str, Callable[[], list[Entry]]] = {
    "algorithms": algorithms,
    "envs": envs,
    "configs": configs,
    "models": models,
}


def _entry(name: str, source: str, summary: str, known: list[Entry]) -> Entry:
    return {"name": name, "source": source, "tier": "", "summary": summary, "parameters": known}


def _parameters(
    function: Callable[..., Any], part: Part | None = None, prefix: str = ""
) -> list[Entry]:
    """Names, types and defaults; a part's own settings count as its defaults."""
    settings = part.settings if part is not None else {}
    return [
        {
            "name": prefix + p.name,
            "type": type_name(p.type),
            "required": p.required,
            "default": _jsonable(settings.get(p.name, None if p.required else p.default)),
        }
        for p in parameters(function).values()
    ]


def _jsonable(value: Any) -> Any:
    from agentrl.yamlfile import plain

    value = plain(value)
    return (
        value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else repr(value)
    )


def _field(document: str, name: str) -> str:
    """A `Name: text` paragraph of a docstring, on one line."""
    found = re.search(rf"^{name}: (.*?)(?=^\w[\w ]*:|\n\n|\Z)", document, re.MULTILINE | re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""
