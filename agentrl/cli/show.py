"""`agentrl show algorithms|agents|envs|configs|models`: what there is; `--json` for programs."""

from __future__ import annotations

import importlib
import inspect
import json as json_module
import re
from collections.abc import Callable
from textwrap import shorten
from typing import Any

import typer

from agentrl.algorithms.base import Part
from agentrl.errors import ConfigError, suggestion
from agentrl.signature import parameters, type_name

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
        typer.echo(_full(entry) if name else _line(entry))


def _line(entry: Entry) -> str:
    """An entry in a list; papers with their tier, source and how certain their formula is."""
    if "certainty" not in entry:
        return f"{entry['name']:<26} {entry['summary']}"
    arxiv = re.search(r"\d{4}\.\d{5}", entry["source"])
    source = arxiv.group(0) if arxiv else ""
    certain = shorten(re.split(r"[;,(.]", entry["certainty"])[0], 24, placeholder="")
    return f"{entry['name']:<24} {entry['tier']} {source:<11}{certain:<25}{entry['summary']}"


def _full(entry: Entry) -> str:
    lines = [f"{entry['name']}: {entry['summary']}"]
    shown = ("source", "tier", "certainty", "differs", "assumes", "edges", "place", "text")
    lines += [f"{key}: {entry[key]}" for key in shown if entry.get(key)]
    lines += entry.get("record", [])
    for parameter in entry["parameters"]:
        default = "required" if parameter["required"] else f"= {parameter['default']!r}"
        lines.append(f"  {parameter['name']}: {parameter['type']} {default}")
    return "\n".join(lines)


def algorithms() -> list[Entry]:
    """Every record with the arguments of its parts, as `slot.argument`."""
    from agentrl.algorithms import NAMES, algorithm
    from agentrl.catalogue import entries, record_dict

    found = []
    for paper in entries():
        parts = algorithm(paper.name).parts if paper.name in NAMES else {}
        known = [
            entry
            for slot, part in parts.items()
            for entry in _parameters(part.function, part, prefix=f"{slot}.")
        ]
        record = as_difference(paper.name) if paper.name in NAMES else []
        found.append({**record_dict(paper), "record": record, "parameters": known})
    return found


def as_difference(name: str) -> list[str]:
    """A record as a diff against GRPO, and what it minimises."""
    from agentrl.algorithms import algorithm
    from agentrl.catalogue import difference, formulas

    lines = ["against grpo:"] if name != "grpo" else []
    for slot, before, after in difference(name):
        lines += [f"  - {slot}: {before}"] if before else []
        lines += [f"  + {slot}: {after}"] if after else []
    live = formulas(algorithm(name))
    terms = " + penalty" if "penalty" in live else ""
    lines.append(f"minimises: sum over tokens of weight * (loss{terms}), where")
    wanted = ("advantage", "weighting", "loss", "penalty", "penalty_weighting")
    return lines + [f"  {slot} = {live[slot]}" for slot in wanted if slot in live]


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


def agents() -> list[Entry]:
    """Every way in which policies meet environments."""
    from agentrl.agents import AGENTS

    found = {}
    for name, path in AGENTS.items():
        module, _, attribute = path.partition(":")
        found[name] = getattr(importlib.import_module(module), attribute)
    return [
        _entry(name, AGENTS[name], (inspect.getdoc(kind) or "").split("\n")[0], _parameters(kind))
        for name, kind in found.items()
    ]


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
    "agents": agents,
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
            "default": _jsonable(settings.get(p.name, None if p.required else p.default), prefix),
        }
        for p in parameters(function).values()
    ]


def _jsonable(value: Any, prefix: str = "") -> Any:
    from agentrl.slots import described
    from agentrl.yamlfile import plain

    value = described(prefix.rstrip("."), value) if isinstance(value, Part) else plain(value)
    return (
        value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else repr(value)
    )
